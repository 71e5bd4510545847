"""Numbers of an evaluation, one by one, for its table and for model cards."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.evaluation.scores import SHARES
from xlmgen.io.json_input import Schema

NOT_METRICS = ("draws", "standard_error", "monte_carlo_error")
LOSSES = {"loss": "loss", "pseudo_likelihood": "pseudo_nll"}
"""Parts of the results that are losses, and the metric that has a standard error."""
_NUMBERS: Schema = {
    "type": "object",
    "additionalProperties": {"type": ["number", "null"]},
}
SCHEMA: Schema = {
    "properties": {
        "split": {"type": "string"},
        "step": {"type": "integer"},
        "rows": {"type": "integer"},
        "forward_passes": {"type": "integer"},
        "predictor": {"type": "object"},
        **dict.fromkeys(
            (*LOSSES, "scores", "scores_error", "samples", "data"), _NUMBERS
        ),
    },
}
"""Schema of a results file."""


@dataclass(frozen=True)
class Number:
    """One metric of an evaluation.

    Args:
        metric: its name.
        value: NaN where it is undefined.
        error: one standard error, or NaN.
        is_share: whether to show it in percent.
        of_data: the same metric of the data, or NaN.
    """

    metric: str
    value: float
    error: float
    is_share: bool
    of_data: float = math.nan

    @property
    def name(self) -> str:
        return self.metric.replace("_", " ") if self.is_share else self.metric

    @property
    def shown(self) -> str:
        return self._text(self.value)

    @property
    def error_shown(self) -> str:
        """Empty where there is no error."""
        return "" if math.isnan(self.error) else self._text(self.error)

    @property
    def of_data_shown(self) -> str:
        """Empty where the metric of the data is unknown."""
        return "" if math.isnan(self.of_data) else self._text(self.of_data)

    def _text(self, number: float) -> str:
        if isinstance(number, int) and not self.is_share:  # a count
            return f"{number:,}"
        return f"{100 * number:.1f} %" if self.is_share else f"{number:.4f}"


def numbers(results: Mapping[str, Any]) -> Iterator[Number]:
    """Every number of some results, in memory or read from a file."""
    for part, with_error in LOSSES.items():
        metrics = results.get(part, {})
        errors = {with_error: metrics.get("standard_error")}
        for metric, value in metrics.items():
            if metric not in NOT_METRICS:
                yield Number(metric, _number(value), _number(errors.get(metric)), False)
    errors = results.get("scores_error", {})
    for metric, value in results.get("scores", {}).items():
        is_share = metric in SHARES  # a user's own metric may be any number
        yield Number(metric, _number(value), _number(errors.get(metric)), is_share)
    # mostly lengths, entropies and perplexities: never shown in percent
    data = results.get("data", {})
    for metric, value in results.get("samples", {}).items():
        of_data = _number(data.get(metric))
        yield Number(metric, _number(value), math.nan, False, of_data)


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # JSON has no NaN

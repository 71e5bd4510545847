"""The numbers of an evaluation one by one, as its table and a model card show them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.evaluation.scores import SHARES
from xlmgen.io.json_input import Schema

NOT_METRICS = ("draws", "standard_error", "monte_carlo_error")
LOSSES = {"loss": "loss", "pseudo_likelihood": "pseudo_nll"}
"""The parts of results that are losses, and which of their metrics has the error."""
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
"""A file of results, and its types."""


@dataclass(frozen=True)
class Number:
    """One metric of an evaluation.

    Args:
        value: NaN where it has none.
        error: one standard error, NaN where it has none.
        is_share: whether a person reads it as a percentage.
        of_data: what the same metric says of the data, NaN where it says nothing.
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
        """Empty where it has none."""
        return "" if math.isnan(self.error) else self._text(self.error)

    @property
    def of_data_shown(self) -> str:
        """Empty where there is none."""
        return "" if math.isnan(self.of_data) else self._text(self.of_data)

    def _text(self, number: float) -> str:
        return f"{100 * number:.1f} %" if self.is_share else f"{number:.4f}"


def numbers(results: Mapping[str, Any]) -> Iterator[Number]:
    """Every number of some results, from memory or read from their file."""
    for part, with_error in LOSSES.items():
        metrics = results.get(part, {})
        errors = {with_error: metrics.get("standard_error")}
        for metric, value in metrics.items():
            if metric not in NOT_METRICS:
                yield Number(metric, _number(value), _number(errors.get(metric)), False)
    errors = results.get("scores_error", {})
    for metric, value in results.get("scores", {}).items():
        is_share = metric in SHARES  # one of the user's own is any number
        yield Number(metric, _number(value), _number(errors.get(metric)), is_share)
    # lengths, entropies, perplexities: few of them are shares
    data = results.get("data", {})
    for metric, value in results.get("samples", {}).items():
        of_data = _number(data.get(metric))
        yield Number(metric, _number(value), math.nan, False, of_data)


def _number(value: float | None) -> float:
    return math.nan if value is None else value  # JSON has no NaN

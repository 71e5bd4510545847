"""Results of `xlmgen eval` in a run folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import stdev
from typing import Any

from xlmgen.evaluation.numbers import LOSSES, SCHEMA, Number, numbers
from xlmgen.evaluation.request import LIKELIHOODS
from xlmgen.io.files import visible
from xlmgen.io.json_input import Schema, parse_object, read_object
from xlmgen.runs.run import Run

EXACT, BOUND = "data_nll", "data_nll_bound"
"""Metrics in nats per data token, which are comparable between families."""
ROW: Schema = {"required": ["row"], "properties": {"row": {"type": "integer"}}}
LIKELIHOOD: Schema = {
    "required": ["row", "example", "nats", "tokens"],
    "properties": {
        "row": {"type": "integer"},
        "example": {"type": "string"},
        "nats": {"type": ["number", "null"]},
        "tokens": {"type": "integer", "minimum": 1},
    },
}
"""Schema of a line of the likelihoods."""
NEEDED = {"loss", "predictor", "rows", "step"}
"""Keys of every evaluation; a file without them is not an evaluation."""
AGAIN = "measure again with `xlmgen eval`, or delete it"


@dataclass(frozen=True)
class Measured:
    """One evaluation of a run.

    Args:
        run: the run.
        file: of the results.
        results: contents of the file.
    """

    run: Run
    file: Path
    results: Mapping[str, Any]

    @property
    def how(self) -> str:
        """Options that are not defaults, from the file name."""
        return self.file.stem.removeprefix(self.results["split"]).lstrip("-")

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """Every metric but the losses, which are not comparable between families."""
        answers = {k: v for k, v in self.results.items() if k not in LOSSES}
        return {n.metric: n for n in numbers(answers)}

    @cached_property
    def nats(self) -> Number | None:
        """Nats per data token, `EXACT` or `BOUND`; None without a likelihood.

        Its standard error is over rows.
        """
        loss = self.results["loss"]
        known = (name for name in (EXACT, BOUND) if loss.get(name) is not None)
        name = next(known, None)
        if name is None:
            return None
        error = ratio_error(
            [row["nats"] for row in self.likelihoods],
            [row["tokens"] for row in self.likelihoods],
        )
        return Number(name, loss[name], error, False)

    @property
    def is_bound(self) -> bool:
        """Whether `nats` is a bound."""
        return self.nats is not None and self.nats.metric == BOUND

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Every answered row with its scores; empty without answers."""
        path = self.run.path / "predictions" / f"{self.file.stem}.jsonl"
        return _read_lines(path, ROW)

    @cached_property
    def likelihoods(self) -> list[Mapping[str, Any]]:
        """Nats and tokens of every row; empty if a row has no finite likelihood."""
        rows = _read_lines(self.file.with_suffix(LIKELIHOODS), LIKELIHOOD)
        return rows if all(row["nats"] is not None for row in rows) else []

    @property
    def passes(self) -> float | None:
        """Mean number of forward passes to answer a batch; None without answers."""
        total = self.results.get("forward_passes")
        if total is None:
            return None
        size = self.run.experiment.evaluation.batch_size
        return float(total / math.ceil(self.results["rows"] / size))


def ratio_error(nats: Sequence[float], tokens: Sequence[float]) -> float:
    """Standard error of `Σ nats / Σ tokens` over rows (delta method), or NaN."""
    if len(nats) < 2:
        return math.nan
    mean = math.fsum(tokens) / len(tokens)
    ratio = math.fsum(nats) / math.fsum(tokens)
    residuals = [n - ratio * t for n, t in zip(nats, tokens, strict=True)]
    return stdev(residuals) / mean / math.sqrt(len(nats))


def _read_lines(path: Path, schema: Schema) -> list[Mapping[str, Any]]:
    """The objects of a JSONL file; none if it does not exist."""
    if not path.exists():
        return []
    with path.open("rb") as lines:
        return [
            parse_object(line, f"{path}, line {number}", AGAIN, schema)
            for number, line in enumerate(lines, 1)
        ]


def measured(run: Run, split: str) -> list[Measured]:
    """All evaluations of a split in a run folder, those with fewest options first.

    Raises:
        UserError: a file of results cannot be read.
    """
    found = []
    for file in visible(run.path / "results", "*.json"):
        results = read_object(file, AGAIN, SCHEMA)
        if results.get("split") == split and results.keys() >= NEEDED:
            found.append(Measured(run, file, results))
    return sorted(found, key=lambda one: (len(one.how), one.how))

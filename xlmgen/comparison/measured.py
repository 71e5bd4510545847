"""Results of `xlmgen eval` in a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xlmgen.evaluation.numbers import LOSSES, SCHEMA, Number, numbers
from xlmgen.io.files import visible
from xlmgen.io.json_input import Schema, parse_object, read_object
from xlmgen.runs.run import Run

EXACT, BOUND = "data_nll", "data_nll_bound"
"""Metrics in nats per data token, which are comparable between families."""
ROW: Schema = {"required": ["row"], "properties": {"row": {"type": "integer"}}}
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

    @property
    def nats(self) -> str:
        """Nats per data token, with ≤ for a bound; empty without a likelihood."""
        loss = self.results["loss"]
        if loss.get(EXACT) is not None:
            return f"{loss[EXACT]:.4f}"
        return f"≤ {loss[BOUND]:.4f}" if loss.get(BOUND) is not None else ""

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Every answered row with its scores; empty without answers."""
        path = self.run.path / "predictions" / f"{self.file.stem}.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as lines:
            return [
                parse_object(line, f"{path}, line {number}", AGAIN, ROW)
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

"""What `xlmgen eval` found out about a run, as its files say."""

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
"""Nats per token of the data, which are the same tokens for every family."""
ROW: Schema = {"required": ["row"], "properties": {"row": {"type": "integer"}}}
NEEDED = {"loss", "predictor", "rows", "step"}
"""Keys of every evaluation; a file without them is something else."""
AGAIN = "measure again with `xlmgen eval`, or delete it"


@dataclass(frozen=True)
class Measured:
    """One evaluation of a run.

    Args:
        run: the run.
        file: of the results.
        results: what it holds.
    """

    run: Run
    file: Path
    results: Mapping[str, Any]

    @property
    def how(self) -> str:
        """What was asked for beside the defaults, as the file's name says."""
        return self.file.stem.removeprefix(self.results["split"]).lstrip("-")

    @cached_property
    def numbers(self) -> dict[str, Number]:
        """Every metric but the losses, which are not one quantity for all families."""
        answers = {k: v for k, v in self.results.items() if k not in LOSSES}
        return {n.metric: n for n in numbers(answers)}

    @property
    def nats(self) -> str:
        """Nats per token of the data, with ≤ for a bound; empty where it is neither."""
        loss = self.results["loss"]
        if loss.get(EXACT) is not None:
            return f"{loss[EXACT]:.4f}"
        return f"≤ {loss[BOUND]:.4f}" if loss.get(BOUND) is not None else ""

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Every row that was answered, with its scores; empty where none was."""
        path = self.run.path / "predictions" / f"{self.file.stem}.jsonl"
        if not path.exists():
            return []
        with path.open("rb") as lines:
            return [
                parse_object(line, f"{path}, line {number}", AGAIN, ROW)
                for number, line in enumerate(lines, 1)
            ]


def measured(run: Run, split: str) -> list[Measured]:
    """All evaluations of a split that a run folder holds, the plainest first.

    Raises:
        UserError: a file of results cannot be read.
    """
    found = []
    for file in visible(run.path / "results", "*.json"):
        results = read_object(file, AGAIN, SCHEMA)
        if results.get("split") == split and results.keys() >= NEEDED:
            found.append(Measured(run, file, results))
    return sorted(found, key=lambda one: (len(one.how), one.how))

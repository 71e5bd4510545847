"""What `xlmgen eval` found out about a run, as its files say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.evaluation.numbers import LOSSES, Number, numbers
from xlmgen.files import visible
from xlmgen.run import Run

EXACT, BOUND = "data_nll", "data_nll_bound"
"""Nats per token of the data, which are the same tokens for every family."""


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
        with path.open(encoding="utf-8") as lines:
            return [_parsed(line, path) for line in lines]


def measured(run: Run, split: str) -> list[Measured]:
    """All evaluations of a split that a run folder holds, the plainest first.

    Raises:
        UserError: a file of results cannot be read.
    """
    found = []
    for file in visible(run.path / "results", "*.json"):
        results = _parsed(file.read_text("utf-8"), file)
        if results.get("split") == split and "loss" in results:
            found.append(Measured(run, file, results))
    return sorted(found, key=lambda one: (len(one.how), one.how))


def _parsed(text: str, file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UserError(
            f"{file} cannot be read", "measure again with `xlmgen eval`, or delete it"
        )
    return value

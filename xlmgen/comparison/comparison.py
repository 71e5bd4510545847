"""Comparison of the evaluations and settings of runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from xlmgen.comparison.fairness import (
    Difference,
    Part,
    Settings,
    differences,
    settings,
)
from xlmgen.comparison.measured import Measured, measured
from xlmgen.comparison.paired import Paired, paired
from xlmgen.errors import UserError
from xlmgen.io.shards import count_numbers
from xlmgen.runs.checkpoint_folder import WEIGHTS, folder_name
from xlmgen.runs.provenance import family_code
from xlmgen.runs.run import Run


@dataclass(frozen=True)
class Seeds:
    """Evaluations that differ only in the seed of training.

    Args:
        members: one per seed, in order.
        means: mean over seeds of every score, with its standard error.
    """

    members: tuple[Measured, ...]
    means: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """Runs measured on the same split.

    Args:
        split: the split.
        runs: in the order of the command line.
        evaluations: of the runs, in that order.
        settings: of the runs, in that order.
    """

    split: str
    runs: tuple[Run, ...]
    evaluations: tuple[Measured, ...]
    settings: tuple[Settings, ...]

    @cached_property
    def differences(self) -> list[Difference]:
        """Differing settings that should be equal."""
        return differences(self.settings)

    @property
    def unfair(self) -> list[Part]:
        """Parts besides seeds whose settings differ, so the comparison is not fair."""
        found = {difference.part for difference in self.differences}
        return [part for part in Part if part in found and part is not Part.seed]

    @property
    def unmeasured(self) -> list[Run]:
        """Runs without an evaluation of the split."""
        known = {one.run.path for one in self.evaluations}
        return [run for run in self.runs if run.path not in known]

    @property
    def names(self) -> dict[Path, str]:
        """Displayed name of every run: its folder name, or its path if that repeats."""
        names = [run.path.resolve().name for run in self.runs]
        return {
            run.path: name if names.count(name) == 1 else str(run.path)
            for run, name in zip(self.runs, names, strict=True)
        }

    @cached_property
    def metrics(self) -> list[str]:
        """All metrics of the evaluations but losses."""
        return list(dict.fromkeys(m for one in self.evaluations for m in one.numbers))

    def label(self, one: Measured) -> str:
        """Name of an evaluation: its run, and the options that are not defaults."""
        return f"{self.names[one.run.path]} {one.how}".rstrip()

    def less_first(self) -> Iterator[tuple[Measured, dict[str, Paired]]]:
        """Paired differences of later evaluations from the first, on common rows."""
        first, *others = self.evaluations
        for other in others:
            found = {m: paired(other.rows, first.rows, m) for m in self.metrics}
            if kept := {m: value for m, value in found.items() if value is not None}:
                yield other, kept

    def seeds(self) -> Iterator[Seeds]:
        """Groups of evaluations with several seeds, and their means."""
        groups: dict[str, list[Measured]] = {}
        for one in self.evaluations:
            groups.setdefault(self._key_without_seed(one), []).append(one)
        for members in groups.values():
            if len({one.run.experiment.training.seed for one in members}) > 1:
                metrics = [
                    m for m in self.metrics if all(m in o.numbers for o in members)
                ]
                values = {m: [o.numbers[m].value for o in members] for m in metrics}
                yield Seeds(tuple(members), {m: _mean(v) for m, v in values.items()})

    def _key_without_seed(self, one: Measured) -> str:
        """Key of an evaluation that is equal for all seeds of its training."""
        known = self.settings[self.runs.index(one.run)]
        shared = {key: value for key, value in known.items() if key[0] is not Part.seed}
        how = one.how, one.results["rows"], one.results["predictor"]
        return repr((family_code(one.run.family_folder), shared, how))


def compare(runs: Sequence[Run], split: str) -> Comparison:
    """Compare runs by the results of `xlmgen eval` in their folders.

    Raises:
        UserError: no run was measured on the split, a run is named twice, or one of its
            files cannot be read.
    """
    for number, run in enumerate(runs):
        if run.path.resolve() in {other.path.resolve() for other in runs[:number]}:
            raise UserError(f"{run.path} is named twice", "name every run once")
    evaluations = [one for run in runs for one in measured(run, split)]
    if not evaluations:
        raise UserError(
            f"none of these runs was measured on the split {split}",
            f"run `xlmgen eval {runs[0].path}` and the same for the others, or name "
            "another --split",
        )
    known = tuple(map(settings, runs))
    return Comparison(split, tuple(runs), tuple(evaluations), known)


def parameters(one: Measured) -> int | None:
    """Number of parameters of the measured weights; None if the file is gone."""
    file = one.run.checkpoints / folder_name(one.results["step"]) / WEIGHTS
    return count_numbers(file) if file.exists() else None


def _mean(values: Sequence[float]) -> tuple[float, float]:
    return fmean(values), stdev(values) / math.sqrt(len(values))


def as_data(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON values."""
    return {
        "split": found.split,
        "runs": [str(run.path) for run in found.runs],
        "unfair": found.unfair,
        "differences": [
            {"part": d.part, "key": d.key, "values": list(d.values)}
            for d in found.differences
        ],
        "evaluations": [
            {
                "run": str(one.run.path),
                "file": str(one.file),
                "parameters": parameters(one),
                **one.results,
            }
            for one in found.evaluations
        ],
        "less_first": [
            {"file": str(one.file), **{m: vars(v) for m, v in less.items()}}
            for one, less in found.less_first()
        ],
        "seeds": [
            {
                "files": [str(one.file) for one in group.members],
                "means": {
                    m: {"mean": a, "error": b} for m, (a, b) in group.means.items()
                },
            }
            for group in found.seeds()
        ],
    }

"""Comparison of the evaluations and settings of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xlmgen.comparison.fairness import (
    Difference,
    Part,
    Settings,
    differences,
    settings,
)
from xlmgen.comparison.groups import Group, difference, nats_difference
from xlmgen.comparison.interval import Interval
from xlmgen.comparison.measured import Measured, measured
from xlmgen.comparison.paired import Paired, paired, paired_nats
from xlmgen.errors import UserError
from xlmgen.io.shards import count_numbers
from xlmgen.runs.checkpoint_folder import WEIGHTS, checkpoints, folder_name
from xlmgen.runs.names import common_name, short_names
from xlmgen.runs.provenance import family_code
from xlmgen.runs.run import Run

NATS = "nats"
"""Key of the nats per token, beside the names of metrics."""


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

    @cached_property
    def names(self) -> dict[Path, str]:
        """Displayed name of every run, by path.

        The name of the folder without the parts that all names share, or the path if
        several folders have the same name.
        """
        short = short_names(list(self._full_names.values()))
        return dict(zip(self._full_names, short, strict=True))

    @cached_property
    def _full_names(self) -> dict[Path, str]:
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
        """Differences of later evaluations from the first on common rows, by metric.

        `NATS` for nats per token.
        """
        for other in self.evaluations[1:]:
            first = self.evaluations[0]
            found = {NATS: paired_nats(other.likelihoods, first.likelihoods)}
            found |= {m: paired(other.rows, first.rows, m) for m in self.metrics}
            if kept := {m: value for m, value in found.items() if value is not None}:
                yield other, kept

    @cached_property
    def groups(self) -> list[Group]:
        """All evaluations, those that differ only in the seed of training together."""
        groups: dict[str, list[Measured]] = {}
        for one in self.evaluations:
            groups.setdefault(self._key_without_seed(one), []).append(one)
        return [Group(tuple(members)) for members in groups.values()]

    @property
    def has_seeds(self) -> bool:
        """Whether there are several seeds of an evaluation."""
        return any(len(group.by_seed) > 1 for group in self.groups)

    def group_name(self, group: Group) -> str:
        """Name of a group: the parts that its runs share, and options of decoding."""
        return f"{self.runs_name(group)} {group.first.how}".rstrip()

    def runs_name(self, group: Group) -> str:
        """Name of the runs of a group, such as that of their family.

        Some options of decoding may be measured for some seeds only; the name is still
        that of all seeds.
        """
        runs = [one.run for one in group.members]
        every = self.run_groups[self.run_group_of(runs[0])]
        return self._shared_name(every) or self.common_name(runs)

    def common_name(self, runs: Sequence[Run]) -> str:
        """Name of some runs: the parts that these runs share, but not all runs.

        If there are no such parts, the name of the first run and the number of others.
        """
        first = self.names[runs[0].path]
        count = len({run.path for run in runs})
        if count == 1:
            return first
        return self._shared_name(runs) or f"{first} and {count - 1} more"

    def _shared_name(self, runs: Sequence[Run]) -> str:
        """Parts of names that these runs share, but not all runs; may be empty."""
        full = [self._full_names[run.path] for run in runs]
        return common_name(full, list(self._full_names.values()))

    def run_group_of(self, run: Run) -> int:
        """Index of a run's group in `run_groups`."""
        return self._group_numbers[run.path]

    @cached_property
    def _group_numbers(self) -> dict[Path, int]:
        return {run.path: n for n, runs in enumerate(self.run_groups) for run in runs}

    def group_differences(self) -> Iterator[tuple[Group, dict[str, Interval]]]:
        """Differences of later groups from the first, by metric; `NATS` for nats."""
        for other in self.groups[1:]:
            first = self.groups[0]
            found = {NATS: nats_difference(other, first)}
            found |= {m: difference(other, first, m) for m in self.metrics}
            if kept := {m: value for m, value in found.items() if value is not None}:
                yield other, kept

    def _key_without_seed(self, one: Measured) -> str:
        """Key of an evaluation that is equal for all seeds of its training."""
        how = one.how, one.results["rows"], one.results["predictor"]
        return repr((self._run_key(one.run), how))

    @cached_property
    def run_groups(self) -> list[tuple[Run, ...]]:
        """All runs, evaluated or not; those that differ only in their seed together."""
        groups: dict[str, list[Run]] = {}
        for run in self.runs:
            groups.setdefault(self._run_key(run), []).append(run)
        return [tuple(runs) for runs in groups.values()]

    def _run_key(self, run: Run) -> str:
        """Key of a run that is equal for all seeds of its training."""
        known = self._settings_of[run.path]
        shared = {key: value for key, value in known.items() if key[0] is not Part.seed}
        return repr((self._code[run.path], shared))

    @cached_property
    def _settings_of(self) -> dict[Path, Settings]:
        paths = (run.path for run in self.runs)
        return dict(zip(paths, self.settings, strict=True))

    @cached_property
    def _code(self) -> dict[Path, dict[str, bytes]]:
        """Modules of the family of every run."""
        return {run.path: family_code(run.family_folder) for run in self.runs}


def compare(runs: Sequence[Run], split: str) -> Comparison:
    """Compare runs by the results of `xlmgen eval` in their folders.

    Raises:
        UserError: no run was measured on the split, a run is named twice, or one of its
            files cannot be read.
    """
    found = collect(runs, split)
    if not found.evaluations:
        raise UserError(
            f"none of these runs was measured on the split {split}",
            f"run `xlmgen eval {runs[0].path}` and the same for the others, or name "
            "another --split",
        )
    return found


def collect(runs: Sequence[Run], split: str) -> Comparison:
    """Read the settings and evaluations of runs, of which there may be none.

    Raises:
        UserError: a run is named twice, or one of its files cannot be read.
    """
    for number, run in enumerate(runs):
        if run.path.resolve() in {other.path.resolve() for other in runs[:number]}:
            raise UserError(f"{run.path} is named twice", "name every run once")
    evaluations = [one for run in runs for one in measured(run, split)]
    return Comparison(
        split, tuple(runs), tuple(evaluations), tuple(map(settings, runs))
    )


def parameters(one: Measured) -> int | None:
    """Number of parameters of the measured weights; None if the file is gone."""
    return _parameters(one.run.checkpoints / folder_name(one.results["step"]))


def parameters_of(run: Run) -> int | None:
    """Number of parameters of the last checkpoint; None without one."""
    folders = list(checkpoints(run.checkpoints).values())
    return _parameters(folders[-1]) if folders else None


def _parameters(checkpoint: Path) -> int | None:
    file = checkpoint / WEIGHTS
    return count_numbers(file) if file.exists() else None

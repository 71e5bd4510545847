"""Contents of a report: one section for every task of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xlmgen.comparison.comparison import Comparison, collect
from xlmgen.comparison.tables import (
    Table,
    count,
    differences,
    evaluations,
    means,
    notes,
    settings,
)
from xlmgen.errors import UserError
from xlmgen.reports.chart import Chart
from xlmgen.reports.charts import learning_charts, quality_charts
from xlmgen.reports.commands import commands, environments
from xlmgen.reports.compute import Compute, compute, unequal
from xlmgen.reports.orders import Order, orders
from xlmgen.runs.run import Run, is_run
from xlmgen.sweeps.sweep import read_sweep

YAML = (".yaml", ".yml")
TEST = "test"


@dataclass(frozen=True)
class Section:
    """The runs on one task.

    Args:
        task: its name.
        comparison: of the runs, of which none may be evaluated.
    """

    task: str
    comparison: Comparison

    @cached_property
    def means(self) -> Table | None:
        """Means over seeds; None without an evaluation."""
        return means(self.comparison) if self.comparison.evaluations else None

    @cached_property
    def tables(self) -> list[Table]:
        """Means, differences, single evaluations, settings that differ, and costs."""
        found = self.comparison
        single = evaluations(found) if found.has_seeds else None
        listed = [self.means, differences(found), single]
        listed += [settings(found) if found.differences else None, self.costs]
        return [table for table in listed if table is not None]

    @property
    def costs(self) -> Table:
        """Parameters and training compute of every group of runs."""
        return Table(
            "training compute, means over seeds",
            ("run", "parameters", "steps", "tokens", "operations", "time"),
            [
                (
                    cost.name,
                    _large(cost.parameters),
                    _large(cost.steps),
                    _large(cost.tokens),
                    "" if cost.flops is None else f"{cost.flops:.2e}",
                    _time(cost.seconds),
                )
                for cost in self.compute
            ],
        )

    @cached_property
    def compute(self) -> list[Compute]:
        return compute(self.comparison)

    @cached_property
    def notes(self) -> list[str]:
        """Notes on fairness, completeness and unequal compute."""
        found = [*notes(self.comparison), unequal(self.compute)]
        return [note for note in found if note]

    @cached_property
    def learning(self) -> list[Chart]:
        """Learning curves."""
        return list(learning_charts(self.comparison))

    @cached_property
    def quality(self) -> list[Chart]:
        """Quality against forward passes."""
        return list(quality_charts(self.comparison))

    @cached_property
    def orders(self) -> list[Order]:
        """Orders in which answers were written."""
        return list(orders(self.comparison))

    @property
    def commands(self) -> list[str]:
        """Commands that make the runs and evaluations again."""
        return list(commands(self.comparison))

    @property
    def environments(self) -> Mapping[str, Sequence[str]]:
        """Versions and hardware, each with its runs."""
        return environments(self.comparison)


@dataclass(frozen=True)
class Report:
    """Everything that a page or a folder of figures shows.

    Args:
        title: of the page.
        sections: one for every task.
        sweep: the command of the sweep that made the runs, if there is one.
        missing: runs of the sweep that have not begun.
    """

    title: str
    sections: tuple[Section, ...]
    sweep: str = ""
    missing: tuple[str, ...] = ()


def report(paths: Sequence[Path], runs_folder: Path, split: str | None) -> Report:
    """Read runs, or the runs of a sweep.

    Args:
        paths: run folders, or one YAML file of a sweep.
        runs_folder: the folder of sweeps; `runs` on the command line.
        split: the split of the evaluations; by default that of the sweep, or `test`.

    Raises:
        UserError: a path is neither, a sweep has no run yet, or a file is damaged.
        SpecError: the sweep has problems.
    """
    sweeps = [path for path in paths if path.suffix in YAML and not path.is_dir()]
    if not sweeps:
        runs = [Run.open(path) for path in paths]
        title = runs[0].experiment.name if len(runs) == 1 else f"{len(runs)} runs"
        return Report(title, tuple(_sections(runs, split or TEST)))
    if len(paths) > 1:
        raise UserError(
            f"{sweeps[0]} is a sweep, which is reported alone",
            "give one sweep, or run folders",
        )
    sweep = read_sweep(sweeps[0], runs_folder)
    begun = [run.path for run in sweep.runs if is_run(run.path)]
    if not begun:
        raise UserError(
            f"no run of the sweep {sweeps[0]} has begun",
            f"start it with `xlmgen sweep {sweeps[0]}`",
        )
    evaluated = (request.split for run in sweep.runs for request in run.evaluations)
    split = split or next(evaluated, TEST)
    return Report(
        sweep.name,
        tuple(_sections([Run.open(path) for path in begun], split)),
        f"xlmgen sweep {sweeps[0]}",
        tuple(run.path.name for run in sweep.runs if run.path not in begun),
    )


def _sections(runs: Sequence[Run], split: str) -> Iterator[Section]:
    by_task: dict[str, list[Run]] = {}
    for run in runs:
        by_task.setdefault(run.load_task().name, []).append(run)
    for task, some in by_task.items():
        yield Section(task, collect(some, split))


def _large(number: float | None) -> str:
    return count(None if number is None else round(number))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

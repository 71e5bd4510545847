"""The live table of runs."""

from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmarks.learn.jobs import LearningJob
from benchmarks.learn.runs import Run
from benchmarks.learn.target import Target
from benchmarks.learn.text import duration, number
from xlmgen.sweeps.queue import DONE, FAILED, STOPPED, Progress

COLUMNS = ("run", "state", "step", "latest validation", "steps to target", "time left")
STYLES = {DONE: "green", FAILED: "red", STOPPED: "yellow"}


class Board:
    """Shows runs in a terminal as they go on, or elsewhere a line for every change.

    Args:
        console: where.
        target: what the runs are to reach.
    """

    def __init__(self, console: Console, target: Target) -> None:
        self._console = console
        self._target = target
        self._live: Live | None = None
        self.jobs: Sequence[Progress[LearningJob]] = ()

    def __enter__(self) -> "Board":
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        else:
            self._console.print(self.table())

    def update(self, changed: Progress[LearningJob] | None) -> None:
        """Show the states; `changed` is the run whose state is another, if any is."""
        if self._live is not None:
            self._live.update(self.table(), refresh=True)
        elif changed is not None:
            reason = f": {changed.reason}" if changed.reason else ""
            self._console.print(
                f"{changed.job.run.path.name}  {changed.state}{reason}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def table(self) -> Table:
        """The runs with what their folders say."""
        table = Table(title=f"target {self._target}")
        for name in COLUMNS:
            table.add_column(
                name,
                justify="left" if name in COLUMNS[:2] else "right",
                no_wrap=name == "run",
            )
        for progress in self.jobs:
            table.add_row(
                *cells(progress, self._target), style=STYLES.get(progress.state)
            )
        return table


def cells(progress: Progress[LearningJob], target: Target) -> tuple[str, ...]:
    """One row of the table."""
    run, steps = progress.job.run, progress.job.steps
    step, reached = run.step, run.steps_to(target)
    return (
        run.path.name,
        progress.state,
        f"{step:,} / {steps:,}",
        latest(run, target),
        "–" if reached is None else f"{reached:,}",
        time_left(run, step, steps) if progress.is_running else "",
    )


def latest(run: Run, target: Target) -> str:
    """The last validation: the loss, and the target's metric where it is another."""
    rows = run.validations()[-1:]
    names = dict.fromkeys(("val/loss", target.metric))
    parts = [
        f"{name.removeprefix('val/')} {number(name, row[name])}"
        for row in rows
        for name in names
        if name in row
    ]
    return "  ".join(parts) or "–"


def time_left(run: Run, step: int, steps: int) -> str:
    """At the speed of the last row, validations left out."""
    speed = run.speed
    return duration((steps - step) / speed) if speed and step < steps else ""

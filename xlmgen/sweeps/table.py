"""A live table of the runs of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from xlmgen.evaluation.scores import SHARES
from xlmgen.runs.names import short_names
from xlmgen.sweeps.jobs import SweepJob
from xlmgen.sweeps.queue import DONE, FAILED, STOPPED, Progress
from xlmgen.sweeps.state import State

STYLES = {DONE: "green", FAILED: "red", STOPPED: "yellow"}
FRAME = 7
"""Lines of the terminal that are not rows of the table."""


class SweepTable:
    """Shows runs in a terminal, or prints one line per change elsewhere.

    Args:
        console: where.
    """

    def __init__(self, console: Console) -> None:
        self.jobs: Sequence[Progress[SweepJob]] = ()
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> SweepTable:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.update(self.table(len(self.jobs)), refresh=True)
            self._live.stop()

    def update(self, changed: Progress[SweepJob] | None) -> None:
        """Show the current states.

        Args:
            changed: the job whose state has changed, or None.
        """
        if self._live is not None:
            room = max(1, self._console.height - FRAME)
            self._live.update(self.table(room), refresh=True)
        elif changed is not None:
            reason = f": {changed.reason}" if changed.reason else ""
            parts = [changed.job.name, f"{changed.state}{reason}"]
            if changed.state == DONE:
                parts.append(metrics(State.of(changed.job.run)))
            self._console.print("  ".join(parts))

    def table(self, rows: int) -> Table:
        """Make the table.

        Args:
            rows: maximum number of runs: those that run come first, then those that
                failed, wait and are done.
        """
        states = Counter(progress.state for progress in self.jobs)
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        title = f"{len(self.jobs)} runs: {counts}"
        table = Table(
            title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1)
        )
        table.add_column("run", overflow="fold", ratio=1)
        for name in ("state", "step", "last validation", "left"):
            justify = "left" if name == "state" else "right"
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        names = [progress.job.name for progress in self.jobs]
        labels = dict(zip(names, short_names(names), strict=True))
        shown = list(self.jobs)
        if len(shown) > rows:
            shown = sorted(shown, key=_urgency)[:rows]
            shown.sort(key=self.jobs.index)
        for progress in shown:
            label = labels[progress.job.name]
            style = STYLES.get(progress.state)
            table.add_row(label, *cells(progress), style=style)
        if hidden := len(self.jobs) - len(shown):
            table.add_row(f"… {hidden} more")
        return table


def cells(progress: Progress[SweepJob]) -> tuple[str, ...]:
    """One row of the table, after the run's name."""
    state = State.of(progress.job.run)
    steps = progress.job.run.experiment.training.max_steps
    return (
        progress.state,
        f"{state.step:,}/{steps:,}",
        metrics(state),
        time_left(state, steps) if progress.is_running else "",
    )


def metrics(state: State) -> str:
    """The last validation: its loss and its first score."""
    found = state.validation
    parts = [f"loss {found['loss']:.4f}"] if "loss" in found else []
    score = next((name for name in found if name.endswith(SHARES)), None)
    if score:
        parts.append(f"{score} {100 * found[score]:.1f} %")
    return "  ".join(parts)


def time_left(state: State, steps: int) -> str:
    """Time until the last step at the current speed, such as 1:02:03."""
    if not state.steps_per_second or state.step >= steps:
        return ""
    minutes, seconds = divmod(round((steps - state.step) / state.steps_per_second), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _urgency(progress: Progress[SweepJob]) -> int:
    if progress.is_running:
        return 0
    if progress.state == FAILED:
        return 1
    return 3 if progress.state == DONE else 2

"""Report progress on standard error: a bar in a terminal, else occasional lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn

from xlmgen.terminal.console import SafeConsole
from xlmgen.terminal.output import say

QUIET = 5.0  # seconds before the first line
EVERY = 10.0  # seconds between lines
DRAWN = 0.1  # seconds between updates of the bar


class ProgressReporter:
    """Reports the progress of long work; a context manager.

    Args:
        label: name of the work.
        total: amount of work; None if unknown.
    """

    def __init__(self, label: str, total: float | None) -> None:
        self._label = label
        self._start = self._said = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        if self._bar is not None:
            self._line = self._bar.add_task(label, total=total, state="")

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def update(self, done: float, state: str) -> None:
        """Report the amount of work done and a description; cheap to call often."""
        now = time.monotonic()
        if self._bar is not None:
            if now - self._said > DRAWN:
                self._said = now
                self._bar.update(self._line, completed=done, state=state)
        elif now - self._start > QUIET and now - self._said > EVERY:
            self._said = now
            say(f"{self._label}  {state}", file=sys.stderr)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", style="bold", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}", markup=False),
        console=SafeConsole(stderr=True),
        transient=True,
    )

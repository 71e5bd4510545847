"""How far something long is, on standard error: a bar, or a line at times."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TextColumn

from xlmgen.terminal.console import SafeConsole
from xlmgen.terminal.output import say

QUIET = 5.0  # seconds before anything is said where there is no terminal
EVERY = 10.0  # seconds between two lines there
DRAWN = 0.1  # seconds between two looks of the bar


class Waiting:
    """Shows whoever waits how much is done.

    Args:
        label: what is waited for.
        total: how much there is to do; None where nobody knows.
    """

    def __init__(self, label: str, total: float | None) -> None:
        self._label = label
        self._start = self._said = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        if self._bar is not None:
            self._line = self._bar.add_task(label, total=total, state="")

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._start

    def update(self, done: float, state: str) -> None:
        """So much is done, which `state` says in words. Cheap to call often."""
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

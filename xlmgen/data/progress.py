"""How far the preparing of data is, on standard error: a bar, or a line at times."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from xlmgen.data.sources import Corpus, Row

QUIET = 5.0  # seconds before anything is said
EVERY = 10.0  # seconds between two lines where there is no terminal


class TokenisingProgress:
    """Counts rows and tokens, and shows them to whoever waits.

    How much there is to do is taken from the sizes of files, against which characters
    are counted: near enough for a bar.

    Args:
        corpus: what is read.
        task: what it is read for.
    """

    def __init__(self, corpus: Corpus, task: str) -> None:
        self._label = f"preparing {task}"
        self._sizes = [piece.size for piece in corpus.pieces]
        self._piece, self._read = 0, 0
        self._rows = self._tokens = 0
        self._start = self._said = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None
        if self._bar is not None:
            total = sum(self._sizes) if all(self._sizes) else None
            self._line = self._bar.add_task(self._label, total=total, state="")

    def row(self, row: Row) -> None:
        """A row was read."""
        if row.piece != self._piece:
            self._piece, self._read = row.piece, 0
        self._read += sum(map(len, row.texts or ()))
        self._rows += 1

    def tokens(self, count: int) -> None:
        """So many tokens were written."""
        self._tokens += count
        now = time.monotonic()
        speed = self._tokens / max(now - self._start, 1e-9)
        state = (
            f"{self._rows:,} rows  {self._tokens / 1e6:,.1f} M tokens  "
            f"{speed / 1e6:.2f} M/s"
        )
        if self._bar is not None:
            before = sum(self._sizes[: self._piece])
            here = min(self._read, self._sizes[self._piece])
            self._bar.update(self._line, completed=before + here, state=state)
        elif now - self._start > QUIET and now - self._said > EVERY:
            self._said = now
            print(f"{self._label}  {state}", file=sys.stderr, flush=True)

    def __enter__(self) -> TokenisingProgress:
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
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}"),
        console=Console(stderr=True),
        transient=True,
    )

"""Progress of data preparation."""

from __future__ import annotations

from xlmgen.data.sources import Corpus, Row
from xlmgen.terminal.progress import ProgressReporter


class TokenisingProgress(ProgressReporter):
    """Progress of tokenisation, in rows and tokens.

    The total is the size of the files in bytes, and characters are counted against it,
    which is close enough for a progress bar.

    Args:
        corpus: the corpus being read.
        task: name of the task.
    """

    def __init__(self, corpus: Corpus, task: str) -> None:
        self._sizes = [piece.size for piece in corpus.pieces]
        total = sum(self._sizes) if all(self._sizes) else None
        super().__init__(f"preparing {task}", total)
        self._piece, self._read = 0, 0
        self._rows = self._tokens = 0

    def row(self, row: Row) -> None:
        """Count a row that was read."""
        if row.piece != self._piece:
            self._piece, self._read = row.piece, 0
        self._read += sum(map(len, row.texts or ()))
        self._rows += 1

    def tokens(self, count: int) -> None:
        """Count tokens that were written, and update the display."""
        self._tokens += count
        speed = self._tokens / max(self.seconds, 1e-9)
        before = sum(self._sizes[: self._piece])
        here = min(self._read, self._sizes[self._piece])
        self.update(
            before + here,
            f"{self._rows:,} rows  {self._tokens / 1e6:,.1f} M tokens  "
            f"{speed / 1e6:.2f} M/s",
        )

"""How far the preparing of data is."""

from __future__ import annotations

from xlmgen.data.sources import Corpus, Row
from xlmgen.terminal.progress import ProgressReporter


class TokenisingProgress(ProgressReporter):
    """Counts rows and tokens, and shows them to whoever waits.

    How much there is to do is taken from the sizes of files, against which characters
    are counted: near enough for a bar.

    Args:
        corpus: what is read.
        task: what it is read for.
    """

    def __init__(self, corpus: Corpus, task: str) -> None:
        self._sizes = [piece.size for piece in corpus.pieces]
        total = sum(self._sizes) if all(self._sizes) else None
        super().__init__(f"preparing {task}", total)
        self._piece, self._read = 0, 0
        self._rows = self._tokens = 0

    def row(self, row: Row) -> None:
        """A row was read."""
        if row.piece != self._piece:
            self._piece, self._read = row.piece, 0
        self._read += sum(map(len, row.texts or ()))
        self._rows += 1

    def tokens(self, count: int) -> None:
        """So many tokens were written."""
        self._tokens += count
        speed = self._tokens / max(self.seconds, 1e-9)
        before = sum(self._sizes[: self._piece])
        here = min(self._read, self._sizes[self._piece])
        self.update(
            before + here,
            f"{self._rows:,} rows  {self._tokens / 1e6:,.1f} M tokens  "
            f"{speed / 1e6:.2f} M/s",
        )

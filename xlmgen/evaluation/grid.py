"""Columns of cells on the console, wrapped to its width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

Cell = tuple[str, str]
"""A text and its style."""


def print_grid(
    console: Console,
    columns: Sequence[Sequence[Cell]],
    labels: Sequence[str],
    *,
    repeat: bool = False,
) -> None:
    """Print columns of cells side by side, wrapped between columns.

    Args:
        columns: each with one cell per line, which may be empty.
        labels: in front of each line, all of one width.
        repeat: repeat the labels after each wrap, and omit empty lines.
    """
    for number, chunk in enumerate(_wrap(columns, console.width - len(labels[0]))):
        widths = [_width(column) for column in chunk]
        for line, label in enumerate(labels):
            cells = [column[line] for column in chunk]
            if repeat and not any(text for text, _ in cells):
                continue
            shown = label if repeat or not number else " " * len(label)
            text = Text.assemble((shown, "dim"))
            for (word, style), width in zip(cells, widths, strict=True):
                text.append(word, style)
                text.append(" " * (width - cell_len(word)))
            text.rstrip()
            console.print(text, no_wrap=True, soft_wrap=True)


def _width(column: Sequence[Cell]) -> int:
    return max(cell_len(text) for text, _ in column) + 1


def _wrap(
    columns: Sequence[Sequence[Cell]], width: int
) -> Iterator[list[Sequence[Cell]]]:
    """Split columns into chunks that each fit the width."""
    chunk: list[Sequence[Cell]] = []
    used = 0
    for column in columns:
        needed = _width(column)
        if chunk and used + needed > width:
            yield chunk
            chunk, used = [], 0
        chunk.append(column)
        used += needed
    if chunk:
        yield chunk

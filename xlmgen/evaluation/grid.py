"""Tokens on the screen with something below each, in lines that fit the width."""

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
    """Columns of cells side by side, broken between columns.

    Args:
        columns: each with a cell for every line, an empty one where it has nothing.
        labels: in front of each line, all of one width.
        repeat: write the labels again where the columns are broken, and leave lines out
            that have nothing.
    """
    for number, part in enumerate(_parts(columns, console.width - len(labels[0]))):
        widths = [_width(column) for column in part]
        for line, label in enumerate(labels):
            cells = [column[line] for column in part]
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


def _parts(
    columns: Sequence[Sequence[Cell]], width: int
) -> Iterator[list[Sequence[Cell]]]:
    part: list[Sequence[Cell]] = []
    used = 0
    for column in columns:
        needs = _width(column)
        if part and used + needs > width:
            yield part
            part, used = [], 0
        part.append(column)
        used += needs
    if part:
        yield part

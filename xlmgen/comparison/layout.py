"""Tables of a comparison on a console of any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable

from xlmgen.comparison.comparison import Comparison
from xlmgen.comparison.tables import Table, notes, tables
from xlmgen.terminal.escape import terminal

GAP, FRAME = 3, 2
"""Characters between two columns, and beside the first and last together."""
SHORTEST_LABEL = 12
"""Width from which labels are folded to make room for another column."""


def show(found: Comparison, console: Console) -> None:
    """Print the tables and notes.

    Args:
        found: the comparison.
        console: with markup disabled, since names of runs may look like markup.
    """
    for table in tables(found):
        console.print(table.heading, style="bold")
        for part in parts(table, console.width):
            console.print(_drawn(part, console.width), crop=False, no_wrap=True)
    for note in notes(found):
        console.print(note, style="yellow" if found.unfair else "")


def parts(table: Table, width: int) -> Iterator[Table]:
    """Split a table into tables that fit, without breaking a number.

    It is unchanged if it fits, else transposed if that fits. Otherwise its columns are
    divided, and every part repeats the first.

    Args:
        width: of the console, in characters.
    """
    for shape in (table, table.transposed):
        if _total(_widths(shape)) <= width:
            yield shape
            return
    label, *widths = _widths(table)
    label = min(label, max(SHORTEST_LABEL, width - max(widths) - GAP - FRAME))
    chosen: list[int] = []
    for column, _ in enumerate(widths):
        added = [*chosen, column]
        if chosen and _total([label, *(widths[c] for c in added)]) > width:
            yield _columns(table, chosen)
            added = [column]
        chosen = added
    yield _columns(table, chosen)


def _columns(table: Table, chosen: Sequence[int]) -> Table:
    """The first column, and those of these indices after it."""
    rows = [(row[0], *(row[1 + c] for c in chosen)) for row in table.rows]
    columns = (table.columns[0], *(table.columns[1 + c] for c in chosen))
    return Table(table.heading, columns, rows)


def _widths(table: Table) -> list[int]:
    """Width of every column: of its longest cell, and longest word in its head."""
    return [
        max(cell_len(text) for text in (*words, *map(terminal, cells)))
        for column, *cells in zip(table.columns, *table.rows, strict=True)
        for words in [terminal(column).split() or [""]]
    ]


def _heads(table: Table) -> list[int]:
    """Width of every column's head on one line."""
    return [cell_len(terminal(column)) for column in table.columns]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1) + FRAME


def _drawn(table: Table, width: int) -> RichTable:
    """The table for the console; only its first column may be folded."""
    unbroken = [*map(max, _widths(table), _heads(table))]
    label, *widths = unbroken if _total(unbroken) <= width else _widths(table)
    rest = _total([0, *widths])
    label = min(label, max(SHORTEST_LABEL, width - rest))
    shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, width=label + rest)
    head = terminal(table.columns[0])
    shown.add_column(head, width=label, overflow="fold")
    for column, size in zip(table.columns[1:], widths, strict=True):
        shown.add_column(terminal(column), width=size, justify="right")
    for row in table.rows:
        shown.add_row(*map(terminal, row))
    return shown

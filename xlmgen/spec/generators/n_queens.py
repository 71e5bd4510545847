"""What follows from the settings of queens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import comb

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted

# how many there are, by the rows of the board
SOLUTIONS = dict(enumerate((2, 10, 4, 40, 92, 352, 724, 2680, 14200), start=4))


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    yield from inverted(document, source, "given")
    board, most = source["board"], source["given"]["max"]
    if most >= board:
        yield document.diagnostic(
            "XG105",
            ("source", "given", "max"),
            f"{most} queens leave none of {board} to be found",
            f"at most {board - 1}",
        )
        return
    wanted, there = sum(source["sizes"].values()), _most_boards(source)
    if wanted > there:
        yield document.diagnostic(
            "XG105",
            ("source", "sizes"),
            f"asks for {wanted:,} different boards, and there are {there:,} at most",
            "ask for fewer, or let more numbers be given",
        )


def _most_boards(source: Source) -> int:
    """All choices of given queens of all solutions; some choices are the same."""
    board, given = source["board"], source["given"]
    return sum(
        min(SOLUTIONS[board] * comb(board, queens), comb(board**2, queens))
        for queens in range(given["min"], given["max"] + 1)
    )


def longest(source: Source) -> dict[str, int]:
    return {"length": source["board"] ** 2}


def words(source: Source) -> Iterable[str]:
    return ("Q", ".")

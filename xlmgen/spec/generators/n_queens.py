"""Properties of n queens that follow from its settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import comb

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted_range

# number of solutions by the size of the board
SOLUTIONS = dict(enumerate((2, 10, 4, 40, 92, 352, 724, 2680, 14200), start=4))


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    yield from inverted_range(document, source, "given")
    board, most = source["board"], source["given"]["max"]
    if most >= board:
        yield document.diagnostic(
            "XG105",
            ("source", "given", "max"),
            f"{most} given queens leave no queen of {board} free",
            f"at most {board - 1}",
        )
        return
    wanted, there = sum(source["sizes"].values()), _most_boards(source)
    if wanted > there:
        yield document.diagnostic(
            "XG105",
            ("source", "sizes"),
            f"needs {wanted:,} different boards, but there are at most {there:,}",
            "use fewer, or allow more numbers of given queens",
        )


def _most_boards(source: Source) -> int:
    """Upper bound on the number of boards; choices of given queens may coincide."""
    board, given = source["board"], source["given"]
    return sum(
        min(SOLUTIONS[board] * comb(board, queens), comb(board**2, queens))
        for queens in range(given["min"], given["max"] + 1)
    )


def longest(source: Source) -> dict[str, int]:
    return {"length": source["board"] ** 2}


def words(source: Source) -> Iterable[str]:
    return ("Q", ".")

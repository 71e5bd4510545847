"""What follows from the settings of queens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted


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


def longest(source: Source) -> dict[str, int]:
    return {"length": source["board"] ** 2}


def words(source: Source) -> Iterable[str]:
    return ("Q", ".")

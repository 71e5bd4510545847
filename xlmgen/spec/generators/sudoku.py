"""What follows from the settings of sudoku."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted

FEWEST_CLUES = {2: 4, 3: 17}  # with which a grid can have one solution


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    yield from inverted(document, source, "clues")
    fewest, cells = FEWEST_CLUES[source["box"]], source["box"] ** 4
    grid = f"a grid of {source['box'] ** 2} × {source['box'] ** 2}"
    if source["clues"]["min"] < fewest:
        yield document.diagnostic(
            "XG105",
            ("source", "clues", "min"),
            f"{source['clues']['min']} clues never leave {grid} one solution",
            f"at least {fewest}",
        )
    if source["clues"]["max"] >= cells:
        yield document.diagnostic(
            "XG105",
            ("source", "clues", "max"),
            f"{source['clues']['max']} clues leave nothing of {grid} to be found",
            f"at most {cells - 1}",
        )


def longest(source: Source) -> dict[str, int]:
    return {"length": source["box"] ** 4}


def words(source: Source) -> Iterable[str]:
    return map(str, range(1, source["box"] ** 2 + 1))

"""Properties of sudoku puzzles that follow from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted_range

FEWEST_CLUES = {2: 4, 3: 17}  # of a grid with a unique solution, by box size


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    yield from inverted_range(document, source, "clues")
    fewest, cells = FEWEST_CLUES[source["box"]], source["box"] ** 4
    grid = f"a grid of {source['box'] ** 2} × {source['box'] ** 2}"
    if source["clues"]["min"] < fewest:
        yield document.diagnostic(
            "XG105",
            ("source", "clues", "min"),
            f"{grid} with {source['clues']['min']} clues has no unique solution",
            f"at least {fewest}",
        )
    if source["clues"]["max"] >= cells:
        yield document.diagnostic(
            "XG105",
            ("source", "clues", "max"),
            f"{source['clues']['max']} clues leave no cell of {grid} empty",
            f"at most {cells - 1}",
        )


def longest(source: Source) -> dict[str, int]:
    return {"length": source["box"] ** 4}


def words(source: Source) -> Iterable[str]:
    return map(str, range(1, source["box"] ** 2 + 1))

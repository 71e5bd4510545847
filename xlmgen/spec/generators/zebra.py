"""Properties of zebra puzzles that follow from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source

KINDS = {
    "at": 2,
    "ends": 1,
    "same": 2,
    "differ": 2,
    "next": 2,
    "left": 2,
    "just_left": 2,
    "between": 3,
}
"""Kinds of clues, with the number of values that each names."""


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    if source["attributes"] == 1 and {"same", "differ"} & set(source["kinds"]):
        yield document.diagnostic(
            "XG108",
            ("source", "kinds"),
            "'same' and 'differ' compare two attributes, and there is one",
            "remove them, or write attributes: 2",
        )


def longest(source: Source) -> dict[str, int]:
    words_of_clue = 1 + max(KINDS[kind] for kind in source["kinds"])
    return {
        "prompt": words_of_clue * source["clues"],
        "answer": source["houses"] * source["attributes"],
    }


def words(source: Source) -> Iterable[str]:
    yield from source["kinds"]
    if "at" in source["kinds"]:
        yield from map(str, range(source["houses"]))
    yield from value_names(source["houses"], source["attributes"])


def value_names(houses: int, attributes: int) -> list[str]:
    """Return the names of all values: a0, a1, …, b0, b1, …"""
    letters = "abcdefgh"[:attributes]
    return [f"{letter}{number}" for letter in letters for number in range(houses)]

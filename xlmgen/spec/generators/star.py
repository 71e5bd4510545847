"""Properties of star graphs that follow from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted_range


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    yield from inverted_range(document, source, "nodes")
    low, high = source["nodes"]["min"], source["nodes"]["max"]
    if high < low:
        return
    if source["plan"] >= low:
        yield document.diagnostic(
            "XG105",
            ("source", "plan"),
            f"an arm of {low} nodes has no {source['plan']} edges after the centre",
            f"at most nodes.min - 1 = {low - 1}",
        )
    if source["vocabulary"] < _edges(source) + 1:
        yield document.diagnostic(
            "XG105",
            ("source", "vocabulary"),
            f"{source['vocabulary']} names are too few for {source['arms']} arms of up "
            f"to {high} nodes",
            f"at least {_edges(source) + 1}",
        )


def longest(source: Source) -> dict[str, int]:
    return {
        "prompt": 2 * _edges(source) + 2,
        "answer": 2 * (source["nodes"]["max"] - 1),
    }


def words(source: Source) -> Iterable[str]:
    return map(str, range(source["vocabulary"]))


def _edges(source: Source) -> int:
    """Return the number of edges of the largest graph."""
    edges: int = source["arms"] * (source["nodes"]["max"] - 1)
    return edges

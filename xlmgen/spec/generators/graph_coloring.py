"""Properties of graph coloring that follow from its settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source, inverted_range


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    yield from inverted_range(document, source, "edges")
    yield from inverted_range(document, source, "given")
    vertices, colors = source["vertices"], source["colors"]
    most = _most_edges(vertices, colors)
    if source["edges"]["max"] > most:
        yield document.diagnostic(
            "XG105",
            ("source", "edges", "max"),
            f"no graph of {vertices} vertices and {source['edges']['max']} edges can "
            f"be colored with {colors} colors",
            f"at most {most}",
        )
    if source["given"]["max"] >= vertices:
        yield document.diagnostic(
            "XG105",
            ("source", "given", "max"),
            f"{source['given']['max']} given colors leave no vertex of {vertices} free",
            f"at most {vertices - 1}",
        )


def longest(source: Source) -> dict[str, int]:
    pairs = source["edges"]["max"] + source["given"]["max"]
    return {"prompt": 2 * pairs, "answer": source["vertices"]}


def words(source: Source) -> Iterable[str]:
    yield from map(str, range(source["vertices"]))
    yield from (f"c{number}" for number in range(source["colors"]))


def _most_edges(vertices: int, colors: int) -> int:
    """Count the edges of the Turán graph: colors are used as equally as possible."""
    each, more = divmod(vertices, colors)
    within = more * each * (each + 1) // 2 + (colors - more) * each * (each - 1) // 2
    return vertices * (vertices - 1) // 2 - within

"""Properties of mazes that follow from their settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.generators import Source


def problems(document: Document, source: Source) -> Iterator[Diagnostic]:
    width, height = source["width"], source["height"]
    most = (width - 1) * (height - 1)
    if source["loops"] > most:
        yield document.diagnostic(
            "XG105",
            ("source", "loops"),
            f"a grid of {width} × {height} allows {most} loops, not {source['loops']}",
            f"at most {most}",
        )


def longest(source: Source) -> dict[str, int]:
    cells = source["width"] * source["height"]
    return {"prompt": 2 * (cells - 1 + source["loops"]) + 2, "answer": cells}


def words(source: Source) -> Iterable[str]:
    return map(str, range(source["width"] * source["height"]))

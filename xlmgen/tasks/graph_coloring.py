"""Graph coloring: color the vertices so that the ends of every edge differ.

A coloring is drawn first, then edges between vertices of different colors, so every
graph can be colored. Graphs that differ only by the names of their colors count as
equal.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from xlmgen.tasks import draws
from xlmgen.tasks.answered import Answered

CHUNK = 4096  # graphs drawn at once; the rows of a seed depend on it


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row."""
    stream = draws.Draws(source["seed"])
    return draws.splits(
        lambda: _draw(source, stream),
        source["sizes"],
        "graphs",
        "ask for fewer, or allow other numbers of edges",
    )


def is_valid(
    prompt: Sequence[str], answer: Sequence[str], vertices: int, colors: int
) -> bool:
    """Whether an answer is a valid coloring of the prompt's graph.

    Args:
        prompt: the edges as pairs of vertices, then pairs of a given vertex and its
            color.
        answer: a color for every vertex, in the order of their names.
        vertices, colors: their numbers.
    """
    if len(answer) != vertices or not set(answer) <= {f"c{n}" for n in range(colors)}:
        return False
    color = {str(vertex): answer[vertex] for vertex in range(vertices)}
    return all(
        color[first] != color[second] if second in color else color[first] == second
        for first, second in zip(prompt[::2], prompt[1::2], strict=True)
    )


def valid_coloring(row: Answered) -> float:
    vertices, colors = row.source["vertices"], row.source["colors"]
    return float(is_valid(row.prompt, row.answer, vertices, colors))


def _draw(
    source: Mapping[str, Any], stream: draws.Draws
) -> Iterator[tuple[object, list[draws.Row]]]:
    """Draw graphs, each with a key that equal graphs share."""
    vertices, colors = source["vertices"], source["colors"]
    pairs = np.array(list(combinations(range(vertices), 2)))
    coloring = stream.below(np.full((CHUNK, vertices), colors))
    order = stream.shuffled(CHUNK, len(pairs))
    num_edges = stream.between(source["edges"]["min"], source["edges"]["max"], CHUNK)
    known = stream.shuffled(CHUNK, vertices)
    num_known = stream.between(source["given"]["min"], source["given"]["max"], CHUNK)

    # Random order, with the pairs that cannot be edges last.
    ends = coloring[:, pairs]  # (R, pairs, 2)
    same = np.take_along_axis(ends[..., 0] == ends[..., 1], order, axis=1)
    last = np.argsort(same, axis=1, kind="stable")
    order = np.take_along_axis(order, last, axis=1)
    possible = (~same).sum(axis=1) >= num_edges

    for row in np.flatnonzero(possible).tolist():
        edges = pairs[order[row, : num_edges[row]]].tolist()
        given = known[row, : num_known[row]].tolist()
        color = [f"c{number}" for number in coloring[row].tolist()]
        names: dict[str, int] = {}
        key = (
            tuple(sorted(map(tuple, edges))),
            tuple((v, names.setdefault(color[v], len(names))) for v in sorted(given)),
        )
        words = [str(vertex) for edge in edges for vertex in edge]
        words += [word for vertex in given for word in (str(vertex), color[vertex])]
        yield key, [{"prompt": " ".join(words), "target": " ".join(color)}]

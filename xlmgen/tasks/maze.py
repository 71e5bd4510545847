"""Mazes: a path through the open passages of a grid, from a source to a goal.

The passages are a random spanning tree, by Kruskal's algorithm with random weights, and
`loops` further passages. Mazes that are equal up to rotation and reflection count as
equal.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from xlmgen.tasks import draws
from xlmgen.tasks.answered import Answered

CHUNK_CELLS = 2**16  # cells drawn at once; the rows of a seed depend on it

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Grid of cells, numbered row by row, with walls between neighbours."""

    width: int
    height: int

    @property
    def cells(self) -> int:
        return self.width * self.height

    @cached_property
    def walls(self) -> draws.Ints:
        """(walls, 2) the cells on both sides of every wall, the lower number first."""
        cells = np.arange(self.cells).reshape(self.height, self.width)
        across = np.stack([cells[:, :-1], cells[:, 1:]], axis=-1).reshape(-1, 2)
        down = np.stack([cells[:-1], cells[1:]], axis=-1).reshape(-1, 2)
        return np.concatenate([across, down])

    @cached_property
    def symmetries(self) -> list[tuple[draws.Ints, draws.Ints]]:
        """Rotations and reflections: the image of each cell, and for each wall the wall
        that it is the image of."""
        cells = np.arange(self.cells).reshape(self.height, self.width)
        square = self.width == self.height
        ways = [cells, cells[::-1], cells[:, ::-1], cells[::-1, ::-1]]
        ways += [way.T for way in ways] if square else []
        number = {tuple(sides): wall for wall, sides in enumerate(self.walls.tolist())}
        found = []
        for way in ways:
            goes = way.ravel()
            moved = np.sort(goes[self.walls], axis=1).tolist()
            comes = np.empty(len(self.walls), dtype=np.int64)
            for wall, sides in enumerate(moved):
                comes[number[tuple(sides)]] = wall
            found.append((goes, comes))
        return found


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row."""
    grid = Grid(source["width"], source["height"])
    stream = draws.Draws(source["seed"])
    return draws.splits(
        lambda: _draw(grid, source["loops"], stream),
        source["sizes"],
        "mazes",
        "ask for fewer, or a larger grid",
    )


def is_route(prompt: Sequence[str], answer: Sequence[str]) -> bool:
    """Whether an answer is a path of a prompt's maze from its source to its goal.

    Args:
        prompt: passages as pairs of cells, then source, then goal.
        answer: cells; a valid answer has none of them twice.
    """
    *flat, source, goal = prompt
    passages = {frozenset(pair) for pair in zip(flat[::2], flat[1::2], strict=True)}
    return (
        len(answer) > 0
        and answer[0] == source
        and answer[-1] == goal
        and len(set(answer)) == len(answer)
        and all(frozenset(step) in passages for step in pairwise(answer))
    )


def valid_route(row: Answered) -> float:
    return float(is_route(row.prompt, row.answer))


def shortest_route(row: Answered) -> float:
    return float(
        is_route(row.prompt, row.answer) and len(row.answer) == len(row.target)
    )


def _draw(
    grid: Grid, loops: int, stream: draws.Draws
) -> Iterator[tuple[bytes, list[draws.Row]]]:
    """Draw mazes, each with a key that its rotations and reflections share."""
    count = CHUNK_CELLS // grid.cells
    order = stream.shuffled(count, len(grid.walls))
    open_ = _passages(grid, order, loops)
    shown = stream.shuffled(count, len(grid.walls))
    source = stream.below(np.full(count, grid.cells))
    goal = stream.below(np.full(count, grid.cells - 1))
    goal += goal >= source
    routes = _routes(grid, open_, source, goal)
    for row, key in enumerate(_keys(grid, open_, source, goal)):
        walls = [wall for wall in shown[row].tolist() if open_[row, wall]]
        ends = [int(source[row]), int(goal[row])]
        prompt = [*grid.walls[walls].ravel().tolist(), *ends]
        yield (
            key,
            [
                {
                    "prompt": " ".join(map(str, prompt)),
                    "target": " ".join(map(str, next(routes))),
                }
            ],
        )


def _passages(grid: Grid, order: draws.Ints, loops: int) -> Flags:
    """(R, walls) whether each wall is open.

    In the given order, a wall is opened if it joins two components, and the first
    `loops` of the others too.
    """
    rows = np.arange(len(order))
    part = np.tile(np.arange(grid.cells), (len(order), 1))  # (R, cells)
    open_ = np.zeros(order.shape, dtype=np.bool_)
    spare = np.full(len(order), loops)
    for wall in order.T:
        first, second = (part[rows, cell] for cell in grid.walls[wall].T)
        joins = first != second
        part = np.where(part == second[:, None], first[:, None], part)
        loop = ~joins & (spare > 0)
        spare -= loop
        open_[rows, wall] = joins | loop
    return open_


def _routes(
    grid: Grid, open_: Flags, source: draws.Ints, goal: draws.Ints
) -> Iterator[list[int]]:
    """A shortest path of each maze: of several the lexicographically smallest."""
    rows = np.arange(len(open_))
    far = grid.cells
    # (R, cells, 4): neighbours in ascending order; -1 behind a closed wall
    reach = np.full((len(open_), grid.cells, 4), -1)
    for wall, (first, second) in enumerate(grid.walls.tolist()):
        across = second == first + 1
        reach[:, first, 2 if across else 3] = np.where(open_[:, wall], second, -1)
        reach[:, second, 1 if across else 0] = np.where(open_[:, wall], first, -1)
    distance = np.full(
        (len(open_), grid.cells + 1), far
    )  # index -1 stands for a closed wall
    distance[rows, goal] = 0
    while True:
        nearest = distance[rows[:, None, None], reach].min(axis=2) + 1
        closer = np.minimum(distance[:, :-1], nearest)
        if (closer == distance[:, :-1]).all():
            break
        distance[:, :-1] = closer
    steps = [source]
    while (steps[-1] != goal).any():
        here = steps[-1]
        near = reach[rows, here]  # (R, 4), ascending
        ahead = distance[rows[:, None], near] == distance[rows, here][:, None] - 1
        onward = near[rows, ahead.argmax(axis=1)]
        steps.append(np.where(here == goal, here, onward))
    lengths = distance[rows, source] + 1
    for cells, length in zip(np.stack(steps, axis=1).tolist(), lengths, strict=True):
        yield cells[:length]


def _keys(
    grid: Grid, open_: Flags, source: draws.Ints, goal: draws.Ints
) -> Iterator[bytes]:
    """The smallest byte encoding among each maze's rotations and reflections."""
    tables = []
    for goes, comes in grid.symmetries:
        passages = np.packbits(open_[:, comes], axis=1)
        question = np.stack([goes[source], goes[goal]], axis=1).astype(">u2")
        tables.append(np.concatenate([passages, question.view(np.uint8)], axis=1))
    for ways in zip(*tables, strict=True):
        yield min(way.tobytes() for way in ways)

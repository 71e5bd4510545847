"""N queens: place one queen per row so that no two attack each other.

An example is a solution with some queens given. Boards that are equal up to rotation
and reflection form one group and are never in different splits.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np

from xlmgen.tasks import draws
from xlmgen.tasks.answered import Answered

QUEEN, EMPTY = "Q", "."
CHUNK = 512  # boards drawn at once; the rows of a seed depend on it

Cells = tuple[int, ...]
"""Cells with a queen, ascending; numbered row by row."""


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row."""
    size, given = source["board"], source["given"]
    every = solutions(size)
    images = symmetries(size)
    stream = draws.Draws(source["seed"])

    def draw() -> Iterator[tuple[Cells, list[draws.Row]]]:
        which = stream.below(np.full(CHUNK, len(every))).tolist()
        counts = stream.between(given["min"], given["max"], CHUNK).tolist()
        orders = stream.shuffled(CHUNK, size).tolist()
        for number, count, order in zip(which, counts, orders, strict=True):
            solution = every[number]
            some = [solution[row] for row in order[:count]]
            boards: dict[Cells, draws.Row] = {}
            for image in images:
                queens = tuple(sorted(image[cell] for cell in some))
                solved = {image[cell] for cell in solution}
                boards.setdefault(queens, _row(size, queens, solved))
            yield min(boards), list(boards.values())

    return draws.splits(
        draw,
        source["sizes"],
        "boards",
        "ask for fewer, or widen the range of given queens",
    )


def solutions(size: int) -> list[Cells]:
    """Every solution, in lexicographic order."""
    found: list[Cells] = []

    def place(cells: Cells, columns: int, down: int, up: int) -> None:
        row = len(cells)
        if row == size:
            found.append(cells)
            return
        for column in range(size):
            bit, down_bit, up_bit = (
                1 << column,
                1 << (column - row + size),
                1 << (column + row),
            )
            if not (columns & bit or down & down_bit or up & up_bit):
                place(
                    (*cells, row * size + column),
                    columns | bit,
                    down | down_bit,
                    up | up_bit,
                )

    place((), 0, 0, 0)
    return found


def symmetries(size: int) -> list[list[int]]:
    """The eight rotations and reflections of a board: the image of each cell."""
    board = np.arange(size**2).reshape(size, size)
    turned = [np.rot90(board, quarter) for quarter in range(4)]
    return [way.ravel().tolist() for each in turned for way in (each, each.T)]


def is_valid(board: Sequence[str]) -> bool:
    """Whether every row has a queen, and no two attack each other."""
    size = isqrt(len(board))
    if not board or size**2 != len(board) or not set(board) <= {QUEEN, EMPTY}:
        return False
    queens = [divmod(cell, size) for cell, piece in enumerate(board) if piece == QUEEN]
    lines = (
        {row for row, _ in queens},
        {column for _, column in queens},
        {row - column for row, column in queens},
        {row + column for row, column in queens},
    )
    return len(queens) == size and all(len(line) == size for line in lines)


def valid_queens(row: Answered) -> float:
    return float(row.filled is not None and is_valid(row.filled))


def _row(size: int, given: Cells, solution: set[int]) -> draws.Row:
    cells = range(size**2)
    return {
        "tokens": " ".join(QUEEN if cell in solution else EMPTY for cell in cells),
        "given": "".join("1" if cell in given else "0" for cell in cells),
    }

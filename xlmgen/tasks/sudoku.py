"""Sudoku: fill a grid so that rows, columns and boxes have every digit once.

Grids are drawn by assigning random digits to cells, with constraint propagation; clues
are then removed in random order while the solution stays unique.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import isqrt
from typing import Any

import numpy as np

from xlmgen.tasks import draws, search
from xlmgen.tasks.answered import Answered

CHUNKS = (256, 4096)  # grids drawn at once, first and most; rows depend on it


@dataclass(frozen=True)
class Rules:
    """The rules of grids whose boxes have `box` rows and columns."""

    box: int

    @property
    def size(self) -> int:
        """Number of rows of the grid, and of digits."""
        return self.box**2

    @property
    def full(self) -> np.uint16:
        """Mask of a cell that may have any digit."""
        return np.uint16(2**self.size - 1)

    @cached_property
    def units(self) -> draws.Ints:
        """(3 * size, size) the cells of every row, column and box."""
        cells = np.arange(self.size**2).reshape(self.size, self.size)
        boxes = cells.reshape(self.box, self.box, self.box, self.box)
        return np.concatenate(
            [cells, cells.T, boxes.transpose(0, 2, 1, 3).reshape(self.size, self.size)]
        )

    @cached_property
    def units_of(self) -> draws.Ints:
        """(cells, 3) row, column and box of every cell, as indices of `units`."""
        within = (self.units[:, :, None] == np.arange(self.size**2)).any(axis=1)
        return np.stack([np.flatnonzero(units) for units in within.T])

    def narrow(self, states: search.Masks, _: draws.Ints) -> search.Masks:
        """One round of propagation: naked singles and hidden singles.

        A cell loses the digits of decided cells in its units, and gets a digit that no
        other cell of a unit may have.
        """
        single = (states & (states - 1)) == 0
        taken, twice_taken = self._seen(np.where(single, states, np.uint16(0)))
        anywhere, twice = self._seen(states)
        wrong = ((twice_taken != 0) | (anywhere != self.full)).any(axis=0)
        last = anywhere & ~twice
        row, column, box = self.units_of.T
        others = taken[row] | taken[column] | taken[box]
        only = states & (last[row] | last[column] | last[box])
        narrowed = np.where(single, states, states & ~others)
        narrowed = np.where(only != 0, narrowed & only, narrowed)
        narrowed[:, wrong] = 0
        return narrowed

    def _seen(self, states: search.Masks) -> tuple[search.Masks, search.Masks]:
        """Digits that at least one cell of each unit may have, and at least two."""
        once = np.zeros((len(self.units), states.shape[1]), dtype=np.uint16)
        twice = once.copy()
        for cells in self.units.T:
            digits = states[cells]
            twice |= once & digits
            once |= digits
        return once, twice


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row."""
    rules = Rules(source["box"])
    clues = source["clues"]
    stream = draws.Draws(source["seed"])
    counts = draws.growing(*CHUNKS)

    def draw() -> Iterator[tuple[bytes, list[draws.Row]]]:
        count = next(counts)
        grids, kept = puzzles(rules, count, clues["min"], clues["max"], stream)
        keys = _keys(rules, grids, kept)
        for key, grid, given in zip(keys, grids.T.tolist(), kept.T, strict=True):
            row = {
                "tokens": " ".join(map(str, grid)),
                "given": "".join("1" if clue else "0" for clue in given),
            }
            yield key, [row]

    return draws.splits(
        draw, source["sizes"], "puzzles", "ask for fewer, or allow more clues"
    )


def puzzles(
    rules: Rules, count: int, fewest: int, most: int, stream: draws.Draws
) -> tuple[draws.Ints, search.Flags]:
    """Generate at most `count` puzzles with unique solutions.

    Args:
        fewest, most: bounds of the number of clues. It is drawn uniformly, and grids
            that need more clues than drawn are dropped.

    Returns:
        (cells, N) the digits of the solutions, and whether each is a clue.
    """
    cells = rules.size**2
    empty = np.full((cells, count), rules.full)
    states, solved = search.random_solutions(empty, rules.narrow, stream)
    solutions = states[:, solved]
    found = solutions.shape[1]
    target = stream.between(fewest, most, found)
    order = stream.shuffled(found, cells).T

    def is_unique(kept: search.Flags, which: draws.Ints) -> search.Flags:
        clues = np.where(kept, solutions[:, which], rules.full)
        return search.unique(clues, rules.narrow)

    everything = np.ones((cells, found), dtype=np.bool_)
    kept = search.thin(everything, order, target, is_unique)
    good = kept.sum(axis=0) == target
    digits = search.count_values(solutions - np.uint16(1)) + 1  # 2ⁿ⁻¹ is the digit n
    return digits[:, good], kept[:, good]


def is_solved(grid: Sequence[str]) -> bool:
    """Whether rows, columns and boxes have the digits from 1 to their size once each.

    Args:
        grid: the cells row by row, for boxes of any size.
    """
    size = isqrt(len(grid))
    box = isqrt(size)
    if not grid or box**4 != len(grid):
        return False
    digits = {str(digit) for digit in range(1, size + 1)}
    rows = [grid[start : start + size] for start in range(0, len(grid), size)]
    columns = [grid[start::size] for start in range(size)]
    boxes = [
        list(
            chain.from_iterable(row[left : left + box] for row in rows[top : top + box])
        )
        for top in range(0, size, box)
        for left in range(0, size, box)
    ]
    return all(set(unit) == digits for unit in (*rows, *columns, *boxes))


def solved(row: Answered) -> float:
    return float(row.filled is not None and is_solved(row.filled))


def _keys(rules: Rules, grids: draws.Ints, kept: search.Flags) -> Iterator[bytes]:
    """Keys that are equal exactly for puzzles that are equal up to renaming digits."""
    clues = np.where(kept, grids, 0)
    # the new name of a digit is its rank by first appearance
    is_digit = (
        clues == np.arange(1, rules.size + 1)[:, None, None]
    )  # (digits, cells, N)
    first = np.where(is_digit.any(axis=1), is_digit.argmax(axis=1), len(clues))
    names = np.argsort(np.argsort(first, axis=0, kind="stable"), axis=0) + 1
    names = np.concatenate([np.zeros_like(names[:1]), names])
    renamed = names[clues, np.arange(clues.shape[1])].astype(np.uint8)
    return (column.tobytes() for column in np.ascontiguousarray(renamed.T))

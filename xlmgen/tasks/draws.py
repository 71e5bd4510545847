"""Random draws that are the same on every machine, and rows that are all different.

Everything comes from the raw 64-bit output of PCG64 by integer operations and stable
sorts, which no version of numpy changes.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xlmgen.errors import UserError
from xlmgen.terminal.progress import ProgressReporter

Ints = npt.NDArray[np.int64]
Row = Mapping[str, str]
"""A text for each column of an example."""

PATIENCE = 20  # draws that may bring nothing new before the space counts as used up


class Draws:
    """A stream of random integers."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def shuffled(self, count: int, size: int) -> Ints:
        """(count, size) independent permutations of 0 … size - 1."""
        keys = np.asarray(self._bits.random_raw(count * size)).reshape(count, size)
        return np.argsort(keys, axis=1, kind="stable").astype(np.int64, copy=False)

    def below(self, limit: Ints) -> Ints:
        """Uniform integers from 0 to `limit - 1`, of the shape of `limit`.

        The top 32 bits times the limit: uniform up to limit / 2³².
        """
        raw = np.asarray(self._bits.random_raw(limit.size)).reshape(limit.shape)
        top = raw >> np.uint64(32)
        return ((top * limit.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def between(self, low: int, high: int, shape: int | tuple[int, ...]) -> Ints:
        """Uniform integers from `low` to `high`, both included."""
        return low + self.below(np.full(shape, high - low + 1))

    def one_below(self, limit: int) -> int:
        """A uniform integer below a limit of any size; of one, nothing is drawn."""
        if limit == 1:
            return 0
        words = (limit.bit_length() + 63) // 64 + 1  # 64 bits to spare
        number = 0
        for _ in range(words):
            number = number << 64 | int(self._bits.random_raw())
        return number * limit >> 64 * words


def growing(first: int, most: int) -> Iterator[int]:
    """Numbers of rows to draw at once: few to begin with, as few may be wanted."""
    while True:
        yield first
        first = min(2 * first, most)


def splits(
    draw: Callable[[], Iterable[tuple[Hashable, Sequence[Row]]]],
    sizes: Mapping[str, int],
    what: str,
    fix: str,
) -> dict[str, dict[str, list[str]]]:
    """Draw until every split is full: split → column → one text per row.

    Test is filled first, then validation, then train: a larger train split leaves the
    other two as they are.

    Args:
        draw: some groups of rows. All that belongs together, so that it must not be in
            two splits, is one group; of groups with the same key the first is taken.
        sizes: rows wanted in each split; the last group of a split is cut to fit.
        what: what the rows are, for the error.
        fix: what to do where there are not so many.

    Raises:
        UserError: draws bring nothing new any more.
    """
    fresh = _fresh(draw)
    found: dict[str, list[Row]] = {}
    number, total = 0, sum(sizes.values())
    with ProgressReporter(f"generating {what}", total) as waiting:
        for split in ("test", "validation", "train"):
            rows = found.setdefault(split, [])
            while len(rows) < sizes[split]:
                group = next(fresh, None)
                if group is None:
                    raise UserError(
                        f"source.sizes: asks for {total:,} different {what}, "
                        f"and only {number:,} turned up",
                        fix,
                    )
                group = group[: sizes[split] - len(rows)]
                rows.extend(group)
                number += len(group)
                waiting.update(number, f"{number:,} of {total:,}")
    return {
        split: {column: [row[column] for row in rows] for column in rows[0]}
        for split, rows in found.items()
    }


def _fresh(
    draw: Callable[[], Iterable[tuple[Hashable, Sequence[Row]]]],
) -> Iterator[Sequence[Row]]:
    """Groups whose keys are new, until `PATIENCE` draws have brought none."""
    seen: set[Hashable] = set()
    barren = 0
    while barren < PATIENCE:
        before = len(seen)
        for key, group in draw():
            if key not in seen:
                seen.add(key)
                yield group
        barren = barren + 1 if len(seen) == before else 0

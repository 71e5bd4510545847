"""Random draws that are the same on every machine, and splits of distinct rows.

All draws are integer operations and stable sorts of the raw 64-bit output of PCG64,
which is the same in every version of numpy.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from xlmgen.errors import UserError
from xlmgen.terminal.progress import ProgressReporter

Ints = npt.NDArray[np.int64]
Row = Mapping[str, str]
"""A text for each column of an example."""

PATIENCE = 20  # draws without a new group after which there are assumed to be none


class Draws:
    """Stream of random integers.

    Args:
        seed: of the stream.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def shuffled(self, count: int, size: int) -> Ints:
        """(count, size) independent permutations of 0 … size - 1."""
        keys = np.asarray(self._bits.random_raw(count * size)).reshape(count, size)
        return np.argsort(keys, axis=1, kind="stable").astype(np.int64, copy=False)

    def below(self, limit: Ints) -> Ints:
        """Uniform integers from 0 to `limit - 1`, of the shape of `limit`.

        The top 32 bits times the limit, with a relative bias below limit / 2³².
        """
        raw = np.asarray(self._bits.random_raw(limit.size)).reshape(limit.shape)
        top = raw >> np.uint64(32)
        return ((top * limit.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)

    def between(self, low: int, high: int, shape: int | tuple[int, ...]) -> Ints:
        """Uniform integers from `low` to `high`, both included."""
        return low + self.below(np.full(shape, high - low + 1))

    def one_below(self, limit: int) -> int:
        """A uniform integer below a limit of any size; limit 1 draws nothing."""
        if limit == 1:
            return 0
        words = (
            limit.bit_length() + 63
        ) // 64 + 1  # 64 extra bits make the bias negligible
        number = 0
        for _ in range(words):
            number = number << 64 | int(self._bits.random_raw())
        return number * limit >> 64 * words


def growing(first: int, most: int) -> Iterator[int]:
    """Numbers of rows to draw at once, doubling from `first` up to `most`."""
    while True:
        yield first
        first = min(2 * first, most)


def splits(
    draw: Callable[[], Iterable[tuple[Hashable, Sequence[Row]]]],
    sizes: Mapping[str, int],
    noun: str,
    fix: str,
) -> dict[str, dict[str, list[str]]]:
    """Draw until every split is full: split → column → one text per row.

    Test is filled first, then validation, then train, so the size of train does not
    change the other two.

    Args:
        draw: draws groups of rows with their keys. Rows that must not be in different
            splits form one group; of groups with equal keys the first is used.
        sizes: number of rows of each split; the last group of a split is cut to fit.
        noun: the plural noun of the rows, for messages.
        fix: advice where there are too few groups.

    Raises:
        UserError: `PATIENCE` draws in turn have no new group.
    """
    fresh = _fresh(draw)
    found: dict[str, list[Row]] = {}
    number, total = 0, sum(sizes.values())
    with ProgressReporter(f"generating {noun}", total) as progress:
        for split in ("test", "validation", "train"):
            rows = found.setdefault(split, [])
            while len(rows) < sizes[split]:
                group = next(fresh, None)
                if group is None:
                    raise UserError(
                        f"source.sizes: asks for {total:,} different {noun}, and "
                        f"only {number:,} were found",
                        fix,
                    )
                group = group[: sizes[split] - len(rows)]
                rows.extend(group)
                number += len(group)
                progress.update(number, f"{number:,} of {total:,}")
    return {
        split: {column: [row[column] for row in rows] for column in rows[0]}
        for split, rows in found.items()
    }


def _fresh(
    draw: Callable[[], Iterable[tuple[Hashable, Sequence[Row]]]],
) -> Iterator[Sequence[Row]]:
    """Groups with new keys, until `PATIENCE` draws in turn have none."""
    seen: set[Hashable] = set()
    draws_without_new = 0
    while draws_without_new < PATIENCE:
        before = len(seen)
        for key, group in draw():
            if key not in seen:
                seen.add(key)
                yield group
        draws_without_new = draws_without_new + 1 if len(seen) == before else 0

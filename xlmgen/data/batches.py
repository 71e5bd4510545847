"""Batches of a data set: their rows, their order and their randomness.

A `Request` is the index of this data set, and the item is a collated batch. A batch is
therefore a function of its request alone, and the same in every worker.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

Collator = Callable[[list[Any], torch.Generator], Any]
Ints = npt.NDArray[np.int64]

STREAMS = ("order", "train", "validation", "test", "sampling", "pools")
"""Uses of randomness. Append new ones: the index of a use is part of its seeds."""
POOL = 64
"""Number of batches whose rows are sorted by length together."""


class Request(NamedTuple):
    """The rows of one batch and the seed of its randomness."""

    rows: tuple[int, ...]
    seed: int


class Batches(Dataset[Any]):
    """Data set whose index is a request and whose item is a batch.

    Args:
        examples: a split's examples.
        collator: called as `collator(examples, generator)`.
        with_rows: return `(batch, rows)`, which matches generated answers to their
            examples.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        collator: Collator,
        *,
        with_rows: bool = False,
    ) -> None:
        self.examples = examples
        self.collator = collator
        self.with_rows = with_rows

    def __getitem__(self, request: Request) -> Any:
        generator = torch.Generator().manual_seed(request.seed)
        batch = self.collator([self.examples[row] for row in request.rows], generator)
        return (batch, request.rows) if self.with_rows else batch


class TrainingSampler(Sampler[Request]):
    """Endless sampler of full, shuffled batches.

    Every epoch has a new order of rows. The epochs form one stream that is cut into
    batches: no row is dropped, and a batch may contain the end of one epoch and the
    start of the next. Batch `i` depends on `seed`, `i` and `rank` alone, so a run can
    start at any batch.

    Args:
        num_rows: rows of the split.
        batch_size: rows of a batch on one rank.
        seed: of the run.
        rank: rank of this process.
        world_size: number of processes; each gets its part of every `batch_size *
            world_size` rows of the stream.
        start: index of the first batch.
        lengths: (rows,) lengths, to batch rows of similar length. The stream is then
            cut into pools of `POOL` batches, or fewer for a small split; each pool is
            sorted by length and cut into batches, which come in random order.
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        lengths: Ints | None = None,
    ) -> None:
        self.num_rows = num_rows
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.next = start
        self.lengths = lengths
        self._epoch, self._order = -1, np.empty(0, np.int64)
        self._pool, self._sorted = -1, np.empty(0, np.int64)

    def __iter__(self) -> Iterator[Request]:
        while True:
            rows = self._shuffled() if self.lengths is None else self._by_length()
            seed = batch_seed(self.seed, "train", self.next, self.rank)
            self.next += 1
            yield Request(tuple(rows), seed)

    def _shuffled(self) -> list[int]:
        """Rows of the next batch, in the order of the stream."""
        first = (self.next * self.world_size + self.rank) * self.batch_size
        return self._stream(first, first + self.batch_size).tolist()

    def _by_length(self) -> list[int]:
        """Rows of the next batch, of similar length; all ranks share the pool."""
        assert self.lengths is not None
        global_size = self.batch_size * self.world_size
        batches = max(1, min(POOL, self.num_rows // global_size))
        pool, number = divmod(self.next, batches)
        if pool != self._pool:
            size = batches * global_size
            rows = self._stream(pool * size, (pool + 1) * size)
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            order = permutation(batches, self.seed, pool, "pools")
            self._pool, self._sorted = pool, rows.reshape(batches, global_size)[order]
        first = self.rank * self.batch_size
        return self._sorted[number, first : first + self.batch_size].tolist()

    def _stream(self, first: int, stop: int) -> Ints:
        """Rows at the positions `first` to `stop - 1` of the stream of epochs."""
        parts = []
        while first < stop:
            epoch, start = divmod(first, self.num_rows)
            if epoch != self._epoch:
                self._epoch = epoch
                self._order = permutation(self.num_rows, self.seed, epoch)
            parts.append(self._order[start : start + stop - first])
            first += len(parts[-1])
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, int]:
        """Index of the next batch.

        A data loader with workers prefetches, so the trainer must count the batches
        that it has trained on.
        """
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from a `state_dict`."""
        self.next = state["next"]


class EvaluationSampler(Sampler[Request]):
    """Sampler of every row once and in order, in batches of nearly equal size.

    Batches and their seeds depend neither on the run's seed nor on the number of
    processes, so every evaluation of every run has the same corruption.

    Args:
        num_rows: number of rows.
        batch_size: the most rows of a batch.
        stream: `validation` or `test`.
        rank: rank of this process.
        world_size: number of processes, which take the batches in turn. Some may have
            one batch less than others, or none.
    """

    def __init__(
        self,
        num_rows: int,
        batch_size: int,
        *,
        stream: str,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        parts = -(-num_rows // batch_size)
        cuts = [num_rows * part // parts for part in range(parts + 1)]
        self.requests = [
            Request(
                tuple(range(*cuts[part : part + 2])), batch_seed(0, stream, part, 0)
            )
            for part in range(rank, parts, world_size)
        ]

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)

    def __len__(self) -> int:
        return len(self.requests)


def padding(
    lengths: Ints, batch_size: int, *, by_length: bool, batches: int = 1000
) -> float:
    """Share of pads in batches that are padded to their longest row.

    Args:
        lengths: (rows,) of the split.
        batch_size: rows of a batch.
        by_length: batch rows of similar length.
        batches: number of batches to sample, at most one epoch.
    """
    sampler = TrainingSampler(
        len(lengths), batch_size, seed=0, lengths=lengths if by_length else None
    )
    count = min(batches, -(-len(lengths) // batch_size))
    found = [lengths[list(request.rows)] for request in islice(sampler, count)]
    positions = sum(int(rows.max()) * len(rows) for rows in found)
    return 1 - sum(int(rows.sum()) for rows in found) / max(positions, 1)


def permutation(size: int, seed: int, epoch: int, stream: str = "order") -> Ints:
    """Random order of an epoch's rows, the same on every machine and numpy version.

    It sorts raw 64-bit output stably, since numpy's own shuffle may change between
    versions.
    """
    bits = np.random.PCG64(_entropy(seed, stream, epoch, 0))
    keys = np.asarray(bits.random_raw(size))
    return np.argsort(keys, kind="stable").astype(np.int64, copy=False)


def batch_seed(seed: int, stream: str, index: int, rank: int) -> int:
    """Seed of one batch, hashed so that batches do not share seeds."""
    state = _entropy(seed, stream, index, rank).generate_state(1, np.uint64)
    return int(state[0]) >> 1  # torch seeds are signed


def _entropy(seed: int, stream: str, index: int, rank: int) -> np.random.SeedSequence:
    return np.random.SeedSequence((seed, STREAMS.index(stream), index, rank))

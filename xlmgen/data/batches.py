"""Which rows make up which batch, and with which randomness.

A data set here is asked for whole batches: a `Request` is the index, and the item is
what the collator makes of those rows. A batch is therefore a function of its request
alone, whatever worker makes it.
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
"""What randomness is used for; a new use goes to the end."""
POOL = 64
"""Batches whose rows are sorted by their lengths together."""


class Request(NamedTuple):
    """The rows of one batch and the seed of its randomness."""

    rows: tuple[int, ...]
    seed: int


class Batches(Dataset[Any]):
    """Turns requests into batches.

    Args:
        examples: a split's examples.
        collator: called as `collator(examples, generator)`.
        with_rows: give `(batch, rows)`, so that what is generated can be compared with
            the examples it belongs to.
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
    """Shuffled batches without end, every one of them full.

    The rows come in a new order in each epoch, and epoch follows epoch as one stream
    that is cut into batches: no row is dropped, and a batch may hold the end of one
    epoch and the beginning of the next. Batch `i` depends on `seed`, `i` and `rank`
    alone, so that a run can start at any batch.

    Args:
        num_rows: rows of the split.
        batch_size: rows of a batch on one rank.
        seed: of the run.
        rank: which of the processes this is.
        world_size: number of processes; each gets its part of every `batch_size *
            world_size` rows of the stream.
        start: the first batch.
        lengths: (rows,) make batches of rows of like lengths. The stream is then cut
            into pools of `POOL` batches, or fewer where there are fewer rows; a pool is
            sorted by length, cut into batches, and these come in a random order.
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
            rows = self._shuffled() if self.lengths is None else self._alike()
            seed = batch_seed(self.seed, "train", self.next, self.rank)
            self.next += 1
            yield Request(tuple(rows), seed)

    def _shuffled(self) -> list[int]:
        """The next batch's rows as the stream has them."""
        first = (self.next * self.world_size + self.rank) * self.batch_size
        return self._stream(first, first + self.batch_size).tolist()

    def _alike(self) -> list[int]:
        """The next batch's rows, of like lengths; all ranks have the same pool."""
        assert self.lengths is not None
        together = self.batch_size * self.world_size
        batches = max(1, min(POOL, self.num_rows // together))
        pool, number = divmod(self.next, batches)
        if pool != self._pool:
            size = batches * together
            rows = self._stream(pool * size, (pool + 1) * size)
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            order = permutation(batches, self.seed, pool, "pools")
            self._pool, self._sorted = pool, rows.reshape(batches, together)[order]
        first = self.rank * self.batch_size
        return self._sorted[number, first : first + self.batch_size].tolist()

    def _stream(self, first: int, stop: int) -> Ints:
        """The rows of some places of the stream, in which epoch follows epoch."""
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
        """Where the sampler is: the next batch it will give.

        A data loader with workers asks ahead, so that what has been *trained on* must
        be counted by whoever trains.
        """
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from what `state_dict` gave."""
        self.next = state["next"]


class EvaluationSampler(Sampler[Request]):
    """Every row once and in order, in batches as equal as they can be.

    Batches and their seeds depend neither on the run's seed nor on the number of
    processes, so that they are corrupted alike in every evaluation of every run.

    Args:
        num_rows: rows to go through.
        batch_size: the most rows of a batch.
        stream: `validation` or `test`.
        rank: which of the processes this is.
        world_size: number of processes; they take turns at the batches. Some have one
            fewer than others, or none where there are fewer batches than processes.
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
    """The share of pads in batches whose rows are as long as their longest.

    Args:
        lengths: (rows,) of the split.
        batch_size: rows of a batch.
        by_length: batches of rows of like lengths.
        batches: how many to look at; no more than an epoch has.
    """
    sampler = TrainingSampler(
        len(lengths), batch_size, seed=0, lengths=lengths if by_length else None
    )
    count = min(batches, -(-len(lengths) // batch_size))
    found = [lengths[list(request.rows)] for request in islice(sampler, count)]
    places = sum(int(rows.max()) * len(rows) for rows in found)
    return 1 - sum(int(rows.sum()) for rows in found) / max(places, 1)


def permutation(size: int, seed: int, epoch: int, stream: str = "order") -> Ints:
    """The order of an epoch: the same on every machine and in every version.

    Made of raw 64-bit output and a stable sort, since numpy may change how its own
    shuffle uses them.
    """
    bits = np.random.PCG64(_entropy(seed, stream, epoch, 0))
    keys = np.asarray(bits.random_raw(size))
    return np.argsort(keys, kind="stable").astype(np.int64, copy=False)


def batch_seed(seed: int, stream: str, index: int, rank: int) -> int:
    """A seed for one batch, hashed so that no two batches share one."""
    state = _entropy(seed, stream, index, rank).generate_state(1, np.uint64)
    return int(state[0]) >> 1  # what torch takes is signed


def _entropy(seed: int, stream: str, index: int, rank: int) -> np.random.SeedSequence:
    return np.random.SeedSequence((seed, STREAMS.index(stream), index, rank))

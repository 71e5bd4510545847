"""Documents of an `lm` task cut into blocks of one length, with nothing lost."""

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import numpy as np

from xlmgen.data.examples import Example, Ints, Ragged


class PackedExamples(Sequence[Example]):
    """Blocks of `[BOS]` and `length - 1` ids of the documents' stream.

    The stream is every document in turn, each followed by EOS. Every id of it is in
    exactly one block, and only the last block may be short. BOS opens a block whether
    or not a document begins there, so that every id of the stream has something before
    it that a model can predict it from.

    An example is `{"tokens": ids, "packed": True}`: the special tokens are in it, and a
    collator adds none.

    Args:
        documents: ids without special tokens.
        length: of a block.
        bos: id of BOS.
        eos: id of EOS.
    """

    def __init__(self, documents: Ragged, length: int, *, bos: int, eos: int) -> None:
        self.documents = documents
        self.step = length - 1  # ids of the stream in a block
        self.bos = bos
        self.eos = eos

    def __len__(self) -> int:
        return -(-int(self._starts[-1]) // self.step)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"block {index} of {len(self)}")
        start = index % len(self) * self.step
        stop = min(start + self.step, int(self._starts[-1]))
        first, last = np.searchsorted(self._starts, [start, stop - 1], "right") - 1
        ended = np.arange(first, last + 1)  # documents whose EOS may be in the block
        ends = self.documents.offsets[ended + 1]
        ends = ends[ends + ended < stop]
        # One EOS is in the stream, and not in the flat ids, for each document before.
        since, until = start - first, stop - first - len(ends)
        ids = self.documents.flat[since:until].astype(np.int64)
        stream = np.insert(ids, ends - since, self.eos)
        return {"tokens": np.insert(stream, 0, self.bos), "packed": np.array(True)}

    @cached_property
    def _starts(self) -> Ints:
        """(documents + 1,) where each begins in the stream, and the stream's length."""
        starts: Ints = self.documents.offsets + np.arange(len(self.documents) + 1)
        return starts

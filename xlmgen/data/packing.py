"""Documents of an `lm` task cut into blocks of one length, with nothing lost."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import overload

import numpy as np

from xlmgen.data.examples import Example, Ragged


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
        return -(-self._start(len(self.documents)) // self.step)

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
        stop = min(start + self.step, self._start(len(self.documents)))
        first, last = self._document_at(start), self._document_at(stop - 1)
        ended = np.arange(first, last + 1)  # documents whose EOS may be in the block
        ends = self.documents.offsets[ended + 1]
        ends = ends[ends + ended < stop]
        # One EOS is in the stream, and not in the flat ids, for each document before.
        since, until = start - first, stop - first - len(ends)
        ids = self.documents.flat[since:until].astype(np.int64)
        stream = np.insert(ids, ends - since, self.eos)
        return {"tokens": np.insert(stream, 0, self.bos), "packed": np.array(True)}

    def _start(self, document: int) -> int:
        """Where a document begins in the stream; behind the last, the stream's length.

        An EOS is in the stream, and not in the flat ids, for each document before.
        """
        return int(self.documents.offsets[document]) + document

    def _document_at(self, place: int) -> int:
        """The document that a place of the stream, or the EOS there, belongs to."""
        documents = range(len(self.documents) + 1)
        return bisect_right(documents, place, key=self._start) - 1

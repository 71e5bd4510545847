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
    collator adds none. Where documents are apart, a BOS stands before each of them in
    the stream, and an example has `documents` too: the number of the document that each
    id belongs to, from 1 in every block.

    Args:
        documents: ids without special tokens.
        length: of a block.
        bos: id of BOS.
        eos: id of EOS.
        apart: whether attention is to stay within a document.
    """

    def __init__(
        self, documents: Ragged, length: int, *, bos: int, eos: int, apart: bool = False
    ) -> None:
        self.documents = documents
        self.step = length - 1  # ids of the stream in a block
        self.between = (eos, bos) if apart else (eos,)
        self.bos = bos
        self.apart = apart

    def __len__(self) -> int:
        return -(-self._length // self.step)

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
        stop = min(start + self.step, self._length)
        first, last = self._document_at(start), self._document_at(stop - 1)
        ended = np.arange(first, last + 1)  # documents that may end in the block
        ends = self.documents.offsets[ended + 1] + len(self.between) * ended - start

        tokens = np.full(1 + stop - start, self.bos)
        special = np.zeros(len(tokens), dtype=bool)
        special[0] = True
        for behind, id_ in enumerate(self.between, start=1):
            places = ends + behind
            places = places[(places > 0) & (places < len(tokens))]
            tokens[places] = id_
            special[places] = True
        # Between two documents of the stream, their ids are side by side in the file.
        since = min(
            start - len(self.between) * first, int(self.documents.offsets[first + 1])
        )
        until = since + len(tokens) - int(special.sum())
        tokens[~special] = self.documents.flat[since:until]
        example = {"tokens": tokens, "packed": np.array(True)}
        if self.apart:
            example["documents"] = np.cumsum(special & (tokens == self.bos))
        return example

    @property
    def _length(self) -> int:
        """Of the stream, which neither begins nor ends with a BOS."""
        return self._start(len(self.documents)) - (len(self.between) - 1)

    def _start(self, document: int) -> int:
        """Where the ids of a document begin in the stream."""
        before = len(self.between) * document
        return int(self.documents.offsets[document]) + before

    def _document_at(self, place: int) -> int:
        """The document that a place of the stream, or what is behind it, belongs to."""
        documents = range(len(self.documents) + 1)
        return bisect_right(documents, place, key=self._start) - 1

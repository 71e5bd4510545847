"""Packing: documents of an `lm` task cut into rows of equal length."""

from bisect import bisect_right

import numpy as np

from xlmgen.data.examples import Example, Ragged, Rows


class PackedExamples(Rows):
    """Rows of BOS and `length - 1` ids of the stream of documents.

    The stream is the sequence of documents, each followed by EOS. Every id of it is in
    exactly one row, and only the last row may be short. Every row begins with
    BOS, even in the middle of a document, so every id of the stream has a context to be
    predicted from.

    An example is `{"tokens": ids, "packed": True}`: it has its special tokens, and
    collators add none. With `separate`, the stream has a BOS before every document, and
    an example has `documents` too: the index of each id's document in its row,
    counted from 1.

    Args:
        documents: ids without special tokens.
        length: of a row in tokens.
        bos: id of BOS.
        eos: id of EOS.
        separate: restrict attention to within documents.
    """

    def __init__(
        self,
        documents: Ragged,
        length: int,
        *,
        bos: int,
        eos: int,
        separate: bool = False,
    ) -> None:
        self.documents = documents
        self.step = length - 1  # number of ids of the stream in a row
        self.between = (eos, bos) if separate else (eos,)
        self.bos = bos
        self.separate = separate

    def __len__(self) -> int:
        return -(-self._length // self.step)

    def row(self, row: int) -> Example:
        start = row * self.step
        stop = min(start + self.step, self._length)
        first, last = self._document_at(start), self._document_at(stop - 1)
        ended = np.arange(first, last + 1)  # the documents that may end in the row
        ends = self.documents.offsets[ended + 1] + len(self.between) * ended - start

        tokens = np.full(1 + stop - start, self.bos)
        special = np.zeros(len(tokens), dtype=bool)
        special[0] = True
        for offset, id_ in enumerate(self.between, start=1):
            positions = ends + offset
            positions = positions[(positions > 0) & (positions < len(tokens))]
            tokens[positions] = id_
            special[positions] = True
        # The file has no special tokens, so the ids of the row are contiguous in it.
        # A row that starts at the EOS or BOS after document `first` reads from that
        # document's end.
        since = min(
            start - len(self.between) * first, int(self.documents.offsets[first + 1])
        )
        until = since + len(tokens) - int(special.sum())
        tokens[~special] = self.documents.flat[since:until]
        example = {"tokens": tokens, "packed": np.array(True)}
        if self.separate:
            example["documents"] = np.cumsum(special & (tokens == self.bos))
        return example

    @property
    def _length(self) -> int:
        """Length of the stream, which neither begins nor ends with a BOS."""
        return self._start(len(self.documents)) - (len(self.between) - 1)

    def _start(self, document: int) -> int:
        """Position of a document's first id in the stream."""
        before = len(self.between) * document
        return int(self.documents.offsets[document]) + before

    def _document_at(self, position: int) -> int:
        """Index of the last document that starts at or before a stream position."""
        documents = range(len(self.documents) + 1)
        return bisect_right(documents, position, key=self._start) - 1

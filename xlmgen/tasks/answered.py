"""An example with its answer in words: the input of a generator's metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Words = tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """An example and its answer.

    A word is the text of one token; a special token is represented by its name.

    Args:
        source: the task's `source:`; metrics that also work with `files` ignore it.
        answer: generated words up to EOS; for the layout `lm` the entire sequence.
        prompt: for the layout `seq2seq`.
        target: the reference answer; for the layout `infill` the words of the holes.
        board: for the layout `infill`: the given words, and None for each hole.
    """

    source: Mapping[str, Any]
    answer: Words
    prompt: Words = ()
    target: Words = ()
    board: tuple[str | None, ...] = ()

    @property
    def filled(self) -> Words | None:
        """The board with the answer in its holes; None where the numbers differ."""
        if self.board.count(None) != len(self.answer):
            return None
        answer = iter(self.answer)
        return tuple(next(answer) if word is None else word for word in self.board)

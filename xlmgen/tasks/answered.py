"""An example and the answer to it, in words: what a generator's metrics look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Words = tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """A word is the text of one token; special tokens go by their names.

    Args:
        source: the task's `source:`; a metric that goes with `files` does not look.
        answer: what was generated, up to its EOS; of the layout lm, a whole sequence.
        prompt: of the layout seq2seq.
        target: the true answer; of the layout infill the words of the holes.
        board: of the layout infill: the given words, and None for each hole.
    """

    source: Mapping[str, Any]
    answer: Words
    prompt: Words = ()
    target: Words = ()
    board: tuple[str | None, ...] = ()

    @property
    def filled(self) -> Words | None:
        """The board with the answer in its holes; None unless it has one for each."""
        if self.board.count(None) != len(self.answer):
            return None
        answer = iter(self.answer)
        return tuple(next(answer) if word is None else word for word in self.board)

"""The special tokens, and the lengths that a task lays its examples out in."""

from dataclasses import dataclass

__all__ = ["SPECIAL_TOKENS", "Block", "SpecialTokens"]

SPECIAL_TOKENS = ("[PAD]", "[BOS]", "[EOS]", "[MASK]", "[CLS]")


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens, and how many ids there are in all.

    xlmgen's own tokenizers give every family the same five ids, in the order of
    `SPECIAL_TOKENS`, so that two families see the same ids for the same text.
    """

    pad: int = 0
    bos: int = 1
    eos: int = 2
    mask: int = 3
    cls: int = 4
    vocab_size: int = len(SPECIAL_TOKENS)

    def never(self, *roles: str) -> tuple[int, ...]:
        """Ids of the tokens named, which a predictor cannot generate.

        EOS can always be generated, also where it shares its id with one of them.
        """
        ids = dict.fromkeys(getattr(self, role) for role in roles)
        return tuple(id_ for id_ in ids if id_ != self.eos)


@dataclass(frozen=True)
class Block:
    """Lengths in tokens that a task's examples must fit in, special tokens included.

    Args:
        answer: the longest answer with its EOS (`seq2seq`), or the longest whole
            sequence (`lm`, `infill`).
        prompt: the longest prompt with its BOS; 0 where there is no prompt.
    """

    answer: int
    prompt: int = 0

    @property
    def length(self) -> int:
        return self.prompt + self.answer

"""Special tokens, and the maximum lengths of a task's examples."""

from dataclasses import dataclass

__all__ = ["SPECIAL_TOKENS", "MaxLength", "SpecialTokens"]

SPECIAL_TOKENS = ("[PAD]", "[BOS]", "[EOS]", "[MASK]", "[CLS]")


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the special tokens, and the total number of ids.

    xlmgen's own tokenizers have the same five ids for every family, in the order of
    `SPECIAL_TOKENS`, so that families get the same ids for the same text.
    """

    pad: int = 0
    bos: int = 1
    eos: int = 2
    mask: int = 3
    cls: int = 4
    vocab_size: int = len(SPECIAL_TOKENS)

    @property
    def ids(self) -> frozenset[int]:
        """Ids of all special tokens."""
        return frozenset((self.pad, self.bos, self.eos, self.mask, self.cls))

    def suppressed(self, *roles: str) -> tuple[int, ...]:
        """Ids of special tokens that a predictor must not generate.

        EOS is never among them, even if it shares its id with one of them.

        Args:
            roles: names of the fields, such as `mask`.
        """
        ids = dict.fromkeys(getattr(self, role) for role in roles)
        return tuple(id_ for id_ in ids if id_ != self.eos)


@dataclass(frozen=True)
class MaxLength:
    """Maximum lengths of a task's examples in tokens, including special tokens.

    Args:
        answer: longest answer with its EOS (`seq2seq`), or longest sequence (`lm`,
            `infill`).
        prompt: longest prompt with its BOS; 0 where there are no prompts.
    """

    answer: int
    prompt: int = 0

    @property
    def length(self) -> int:
        return self.prompt + self.answer

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches from which some tokens are dropped.

Shapes: B rows, L positions, S slots, D dropped tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from xlmgen.runtime.collate.dropping import drop_tokens
from xlmgen.runtime.collate.layout import (
    Example,
    Layout,
    count,
    flat_positions,
    infill_layout,
    lm_layout,
    masked_prompt_layout,
    seq2seq_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_ilm import IlmBatch, IlmPrompt


class IlmLmCollator:
    """Batches of `[CLS] BOS tokens` with some of the tokens dropped.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples; CLS is not counted.
        evaluation: has no effect: training and evaluation draw in the same way.
    """

    layout = staticmethod(lm_layout)

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> IlmBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.max_length,
            bos=True,
            eos=False,
            pad_to_max_length=False,
        )
        # 1. Drop every token with a probability that its row draws from U(0, 1). The
        # number N of dropped tokens is then uniform over 0, …, n, and all subsets of
        # N tokens are equally likely.
        drop_prob = torch.rand(
            len(examples), 1, dtype=torch.float64, generator=generator
        )
        u = torch.rand(clean.ids.shape, generator=generator)
        dropped = clean.target_mask & (u < drop_prob)  # (B, L)

        # 2. Close the gaps; a dropped token belongs to the slot on its left.
        kept = drop_tokens(clean, dropped, self.tokens)
        return {
            "input_ids": kept.ids,
            "attention_mask": kept.attention_mask,
            "slot_positions": flat_positions(kept.slots),
            "target_slot": kept.slot_of_dropped,
            "target_ids": clean.ids.take(flat_positions(dropped)),
            "num_dropped": count(dropped),
            "answer_length": count(clean.target_mask),
        }


class IlmSeq2SeqCollator(IlmLmCollator):
    """Batches of `[CLS] prompt BOS target`; only target tokens are dropped."""

    layout = staticmethod(seq2seq_layout)


class IlmInfillCollator(IlmLmCollator):
    """Batches of sequences with holes; only tokens of the holes are dropped."""

    layout = staticmethod(infill_layout)


class IlmPredictCollator:
    """Prompts `[CLS] prompt BOS`.

    Without a limit for prompts, prompt and answer are one sequence:
    `[CLS] BOS prompt`.
    """

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> IlmPrompt:
        clean = self.layout(examples)
        given = drop_tokens(clean, clean.target_mask, self.tokens)
        return {
            "input_ids": given.ids,
            "attention_mask": given.attention_mask,
            "insertable": given.slots,
            "max_insertions": self.max_insertions(clean),
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.max_length, bos=True)

    def max_insertions(self, clean: Layout) -> Tensor:
        return count(clean.target_mask)


class IlmPredictInfillCollator(IlmPredictCollator):
    """Prompts from sequences with holes; the holes are left out."""

    def layout(self, examples: Sequence[Example]) -> Layout:
        return infill_layout(
            examples,
            self.tokens,
            self.max_length,
            bos=True,
            eos=False,
            pad_to_max_length=False,
        )

    def max_insertions(self, clean: Layout) -> Tensor:
        return self.max_length.answer - count(clean.attended & ~clean.target_mask)


COLLATORS = {
    "lm": IlmLmCollator,
    "seq2seq": IlmSeq2SeqCollator,
    "infill": IlmInfillCollator,
    "predict": IlmPredictCollator,
    "predict_infill": IlmPredictInfillCollator,
    "unconditional": IlmPredictCollator,
}

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches sorted by an order of generation.

Shapes: B rows, L positions, N scored positions.
"""

from collections.abc import Sequence

import torch

from xlmgen.runtime.collate.layout import (
    Example,
    Layout,
    flat_positions,
    infill_layout,
    lm_layout,
    masked_prompt_layout,
    seq2seq_layout,
)
from xlmgen.runtime.ordering import sort_rows
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_ao_arm import AoArmBatch, AoArmPrompt


class AoArmLmCollator:
    """Batches of `[BOS] tokens [EOS] [PAD]…`.

    Every row draws an order of its tokens.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: has no effect: orders are drawn as in training.
    """

    layout = staticmethod(lm_layout)

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> AoArmBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.max_length,
            bos=True,
            eos=True,
            pad_to_max_length=True,
        )
        # 1. Sort every row: given tokens, then the answer at random.
        u = torch.rand(clean.ids.shape, generator=generator)
        rows = sort_rows(clean, u)

        # 2. Every token predicts the next one in this order, at a known position.
        scored = rows.target_mask[:, 1:]
        return {
            "input_ids": rows.ids[:, :-1],
            "position_ids": rows.position_ids[:, :-1],
            "next_position_ids": rows.position_ids[:, 1:],
            "target_ids": rows.ids[:, 1:].masked_fill(~scored, -100),
            "scored_positions": flat_positions(scored),
            "documents": rows.mask_until(-1),
        }


class AoArmSeq2SeqCollator(AoArmLmCollator):
    """Batches of `prompt [BOS] target [EOS] [PAD]…`; the prompt is given."""

    layout = staticmethod(seq2seq_layout)


class AoArmInfillCollator(AoArmLmCollator):
    """Batches of sequences with holes, which are generated after all given tokens."""

    layout = staticmethod(infill_layout)


class AoArmPredictCollator:
    """Prompts and an answer of MASK; only MASK if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> AoArmPrompt:
        prompt = self.layout(examples)
        return {
            "input_ids": prompt.ids.masked_fill(prompt.target_mask, self.tokens.mask),
            "attention_mask": prompt.attention_mask,
            "fillable": prompt.target_mask,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.max_length, bos=True)


class AoArmPredictInfillCollator(AoArmPredictCollator):
    """Prompts from sequences with holes; every hole is MASK."""

    def layout(self, examples: Sequence[Example]) -> Layout:
        return infill_layout(
            examples,
            self.tokens,
            self.max_length,
            bos=True,
            eos=True,
            pad_to_max_length=True,
        )


COLLATORS = {
    "lm": AoArmLmCollator,
    "seq2seq": AoArmSeq2SeqCollator,
    "infill": AoArmInfillCollator,
    "predict": AoArmPredictCollator,
    "predict_infill": AoArmPredictInfillCollator,
    "unconditional": AoArmPredictCollator,
}

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches in which some tokens are replaced by MASK.

Shapes: B rows, L positions, N masked positions.
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
    with_token_at,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_mlm import MlmBatch, MlmPrompt


class MlmLmCollator:
    """Batches of `tokens [EOS] [PAD]…`.

    Tokens are masked with a probability that every row draws from [0, 1].

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: has no effect, because no time is drawn.
    """

    layout = staticmethod(lm_layout)

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> MlmBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.max_length,
            bos=False,
            eos=True,
            pad_to_max_length=True,
        )
        # 1. Draw a masking probability for every row.
        mask_prob = torch.rand(len(examples), 1, generator=generator)

        # 2. Select every token of the answer with that probability, independently.
        u = torch.rand(clean.ids.shape, generator=generator)
        masked = clean.target_mask & (u < mask_prob)
        masked_positions = flat_positions(masked)
        input_ids = with_token_at(clean.ids, masked_positions, self.tokens.mask)
        return {
            "input_ids": input_ids,
            "attention_mask": clean.attention_mask,
            "target_ids": clean.ids,
            "maskable": clean.target_mask,
            "masked_positions": masked_positions,
        }


class MlmSeq2SeqCollator(MlmLmCollator):
    """Batches of `prompt target [EOS] [PAD]…`; the prompt is never masked."""

    layout = staticmethod(seq2seq_layout)


class MlmInfillCollator(MlmLmCollator):
    """Batches of sequences with holes; given tokens are never masked."""

    layout = staticmethod(infill_layout)


class MlmPredictCollator:
    """Prompts and an answer of MASK; only MASK if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> MlmPrompt:
        prompt = self.layout(examples)
        return {
            "input_ids": prompt.ids.masked_fill(prompt.target_mask, self.tokens.mask),
            "attention_mask": prompt.attention_mask,
            "fillable": prompt.target_mask,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.max_length, bos=False)


class MlmPredictInfillCollator(MlmPredictCollator):
    """Prompts from sequences with holes; every hole is MASK."""

    def layout(self, examples: Sequence[Example]) -> Layout:
        return infill_layout(
            examples,
            self.tokens,
            self.max_length,
            bos=False,
            eos=True,
            pad_to_max_length=True,
        )


COLLATORS = {
    "lm": MlmLmCollator,
    "seq2seq": MlmSeq2SeqCollator,
    "infill": MlmInfillCollator,
    "predict": MlmPredictCollator,
    "predict_infill": MlmPredictInfillCollator,
    "unconditional": MlmPredictCollator,
}

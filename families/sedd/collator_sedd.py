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
from xlmgen.runtime.noise import LinearSchedule, draw_times
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_sedd import SeddBatch, SeddPrompt


class SeddLmCollator:
    """Batches of `tokens [EOS] [PAD]…`.

    Tokens are masked at the rate of the noise schedule.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: draw times from all of (0, 1], without the training limit.
    """

    layout = staticmethod(lm_layout)
    schedule = LinearSchedule()

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length
        self.sampling_eps = 0.0 if evaluation else 0.001

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> SeddBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.max_length,
            bos=False,
            eos=True,
            pad_to_max_length=True,
        )
        # 1. Draw a time for every row, stratified over the batch.
        t = draw_times(
            len(examples),
            generator,
            sampling_eps=self.sampling_eps,
            antithetic=True,
        )  # (B,)
        time_weight = torch.full_like(t, 1 - self.sampling_eps)

        # 2. Mask every token of the answer with probability 1 − α(t).
        mask_prob = self.schedule.noise(t)[:, None]
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
            "t": t,
            "time_weight": time_weight,
        }


class SeddSeq2SeqCollator(SeddLmCollator):
    """Batches of `prompt target [EOS] [PAD]…`; the prompt is never masked."""

    layout = staticmethod(seq2seq_layout)


class SeddInfillCollator(SeddLmCollator):
    """Batches of sequences with holes; given tokens are never masked."""

    layout = staticmethod(infill_layout)


class SeddPredictCollator:
    """Prompts and an answer of MASK; only MASK if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> SeddPrompt:
        prompt = self.layout(examples)
        return {
            "input_ids": prompt.ids.masked_fill(prompt.target_mask, self.tokens.mask),
            "attention_mask": prompt.attention_mask,
            "fillable": prompt.target_mask,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.max_length, bos=False)


class SeddPredictInfillCollator(SeddPredictCollator):
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
    "lm": SeddLmCollator,
    "seq2seq": SeddSeq2SeqCollator,
    "infill": SeddInfillCollator,
    "predict": SeddPredictCollator,
    "predict_infill": SeddPredictInfillCollator,
    "unconditional": SeddPredictCollator,
}

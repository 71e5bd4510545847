# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches in which some tokens are replaced by noise.

Shapes: B rows, L positions, N noisable positions, M noised positions.
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
from xlmgen.runtime.noise import HybridSchedule, draw_times
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens
from xlmgen.runtime.uniform_noise import draw_uniform

from .types_gidd import GiddBatch, GiddPrompt


class GiddLmCollator:
    """Batches of `tokens [EOS] [PAD]…`.

    Tokens are noised at the rate of the noise schedule: replaced by MASK, or by one of
    the K tokens that can be generated, each with probability 1/K.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: draw times from all of (0, 1], without the training limit.
    """

    layout = staticmethod(lm_layout)
    schedule = HybridSchedule(uniform_share=0.2)

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length
        self.suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sampling_eps = 0.0 if evaluation else 0.001

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> GiddBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.max_length,
            bos=False,
            eos=True,
            pad_to_max_length=True,
        )
        # 1. Draw a time for every row, stratified over the batch.
        u = draw_times(
            len(examples),
            generator,
            sampling_eps=self.sampling_eps,
            antithetic=True,
        )  # (B,)
        t, time_weight = self.schedule.times(u)  # dense near t = 0
        time_weight = (1 - self.sampling_eps) * time_weight

        # 2. Noise every token of the answer with probability 1 − α(t).
        noise_prob = self.schedule.noise(t)[:, None]
        u = torch.rand(clean.ids.shape, generator=generator)
        noised_positions = flat_positions(clean.target_mask & (u < noise_prob))  # (M,)

        # 3. A noised token becomes MASK or any of the K tokens, its own included.
        drawn = draw_uniform(
            noised_positions.shape,
            self.tokens.vocab_size,
            self.suppress_tokens,
            generator,
        )
        mask_share = self.schedule.masked(t) / self.schedule.noise(t)  # (B,)
        row = noised_positions // clean.ids.shape[1]
        u = torch.rand(noised_positions.shape, generator=generator)
        drawn = torch.where(u < mask_share[row], self.tokens.mask, drawn)
        return {
            "input_ids": clean.ids.put(noised_positions, drawn),
            "attention_mask": clean.attention_mask,
            "target_ids": clean.ids,
            "noisable": clean.target_mask,
            "noisable_positions": flat_positions(clean.target_mask),
            "noised_positions": noised_positions,
            "t": t,
            "time_weight": time_weight,
        }


class GiddSeq2SeqCollator(GiddLmCollator):
    """Batches of `prompt target [EOS] [PAD]…`; the prompt is never noised."""

    layout = staticmethod(seq2seq_layout)


class GiddInfillCollator(GiddLmCollator):
    """Batches of sequences with holes; given tokens are never noised."""

    layout = staticmethod(infill_layout)


class GiddPredictCollator:
    """Prompts and an answer of MASK; only MASK if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> GiddPrompt:
        prompt = self.layout(examples)
        return {
            "input_ids": prompt.ids.masked_fill(prompt.target_mask, self.tokens.mask),
            "attention_mask": prompt.attention_mask,
            "fillable": prompt.target_mask,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.max_length, bos=False)


class GiddPredictInfillCollator(GiddPredictCollator):
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
    "lm": GiddLmCollator,
    "seq2seq": GiddSeq2SeqCollator,
    "infill": GiddInfillCollator,
    "predict": GiddPredictCollator,
    "predict_infill": GiddPredictInfillCollator,
    "unconditional": GiddPredictCollator,
}

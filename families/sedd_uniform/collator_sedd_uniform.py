# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches in which some tokens are replaced by random ones.

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
from xlmgen.runtime.noise import GeometricSchedule, draw_times, with_reconstruction
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens
from xlmgen.runtime.uniform_noise import draw_uniform

from .types_sedd_uniform import SeddUniformBatch, SeddUniformPrompt


class SeddUniformLmCollator:
    """Batches of `tokens [EOS] [PAD]…`.

    Tokens are noised at the rate of the noise schedule: replaced by one of the K tokens
    that can be generated, each with probability 1/K.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: draw times from all of (0, 1], without the training limit.
    """

    layout = staticmethod(lm_layout)
    schedule = GeometricSchedule(sigma_min=0.0001, sigma_max=20.0)

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length
        self.suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sampling_eps = 0.0 if evaluation else 0.001
        self.evaluation = evaluation

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> SeddUniformBatch:
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
        if self.evaluation:  # α(0) < 1: some rows estimate the reconstruction term
            t, time_weight = with_reconstruction(t)

        # 2. Noise every token of the answer with probability 1 − α(t).
        noise_prob = self.schedule.noise(t)[:, None]
        u = torch.rand(clean.ids.shape, generator=generator)
        noised_positions = flat_positions(clean.target_mask & (u < noise_prob))  # (M,)

        # 3. A noised token becomes any of the K tokens, its own included.
        drawn = draw_uniform(
            noised_positions.shape,
            self.tokens.vocab_size,
            self.suppress_tokens,
            generator,
        )
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


class SeddUniformSeq2SeqCollator(SeddUniformLmCollator):
    """Batches of `prompt target [EOS] [PAD]…`; the prompt is never noised."""

    layout = staticmethod(seq2seq_layout)


class SeddUniformInfillCollator(SeddUniformLmCollator):
    """Batches of sequences with holes; given tokens are never noised."""

    layout = staticmethod(infill_layout)


class SeddUniformPredictCollator:
    """Prompts and an answer of MASK; only MASK if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> SeddUniformPrompt:
        prompt = self.layout(examples)
        return {
            "input_ids": prompt.ids.masked_fill(prompt.target_mask, self.tokens.mask),
            "attention_mask": prompt.attention_mask,
            "fillable": prompt.target_mask,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.max_length, bos=False)


class SeddUniformPredictInfillCollator(SeddUniformPredictCollator):
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
    "lm": SeddUniformLmCollator,
    "seq2seq": SeddUniformSeq2SeqCollator,
    "infill": SeddUniformInfillCollator,
    "predict": SeddUniformPredictCollator,
    "predict_infill": SeddUniformPredictInfillCollator,
    "unconditional": SeddUniformPredictCollator,
}

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches in which some tokens are masked and others missing.

Shapes: B rows, L positions, N masked positions.
"""

from collections.abc import Sequence

import torch

from xlmgen.runtime.collate.gaps import (
    GapLayout,
    compact_rows,
    infill_gaps,
    lm_gaps,
    prompt_gaps,
    room,
    seq2seq_gaps,
)
from xlmgen.runtime.collate.layout import Example, count, flat_positions, with_token_at
from xlmgen.runtime.noise import LinearSchedule, draw_times
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_flexmdm import FlexmdmBatch, FlexmdmPrompt


class FlexmdmLmCollator:
    """Batches of `[BOS] tokens` at times between 1 (empty) and 0 (the data).

    Generation inserts a token as MASK at a time T₁, and then unmasks it at a time
    T₂ < T₁: P(T₁ ≥ t) = a(t), and P(T₂ ≥ t) = b(t), truncated to T₂ < T₁. The time of
    arXiv:2509.01025 is 1 − t.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: draw times from all of (0, 1], without the training limit.
    """

    layout = staticmethod(lm_gaps)
    insert = LinearSchedule()
    unmask = LinearSchedule()

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length
        self.sampling_eps = 0.0 if evaluation else 0.001

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> FlexmdmBatch:
        clean = self.layout(examples, self.tokens, self.max_length, eos=False)
        # 1. Draw a time for every row, stratified over the batch.
        t = draw_times(
            len(examples),
            generator,
            sampling_eps=self.sampling_eps,
            antithetic=True,
        )  # (B,)
        time_weight = torch.full_like(t, 1 - self.sampling_eps)

        # 2. At time t a token is missing if T₁ < t, and masked if T₂ < t ≤ T₁.
        u = torch.rand(2, *clean.ids.shape, generator=generator)
        inserted = self.insert.inverse(u[0])  # T₁
        missing = clean.target_mask & (inserted < t[:, None])
        still_masked = self.unmask.noise(t[:, None]) / self.unmask.noise(inserted)
        hidden = u[1] < still_masked  # T₂ < t
        masked = clean.target_mask & ~missing & hidden

        # 3. Remove the missing tokens and count them in every gap.
        kept = compact_rows(clean, missing, self.tokens.pad)
        masked_positions = flat_positions(kept.closing.move(masked))
        return {
            "input_ids": with_token_at(kept.ids, masked_positions, self.tokens.mask),
            "attention_mask": kept.attention_mask,
            "target_ids": kept.ids,
            "masked_positions": masked_positions,
            "insertable": kept.free,
            "missing": kept.gaps,
            "num_tokens": count(clean.target_mask),
            "t": t,
            "time_weight": time_weight,
        }


class FlexmdmSeq2SeqCollator(FlexmdmLmCollator):
    """Batches of `prompt [BOS] target`; only the target is corrupted."""

    layout = staticmethod(seq2seq_gaps)


class FlexmdmInfillCollator(FlexmdmLmCollator):
    """Batches of sequences with holes; only tokens of the holes are corrupted."""

    layout = staticmethod(infill_gaps)


class FlexmdmPredictCollator:
    """Prompts `prompt [BOS]`; `[BOS]` if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> FlexmdmPrompt:
        clean = self.layout(examples)
        given = compact_rows(clean, clean.target_mask, self.tokens.pad)
        return {
            "input_ids": given.ids,
            "attention_mask": given.attention_mask,
            "insertable": given.free,
            "max_insertions": room(given, self.max_length, eos=False),
        }

    def layout(self, examples: Sequence[Example]) -> GapLayout:
        return prompt_gaps(examples, self.tokens, self.max_length, eos=False)


class FlexmdmPredictInfillCollator(FlexmdmPredictCollator):
    """Prompts from sequences with holes; tokens are inserted only in the holes."""

    def layout(self, examples: Sequence[Example]) -> GapLayout:
        return infill_gaps(examples, self.tokens, self.max_length, eos=False)


COLLATORS = {
    "lm": FlexmdmLmCollator,
    "seq2seq": FlexmdmSeq2SeqCollator,
    "infill": FlexmdmInfillCollator,
    "predict": FlexmdmPredictCollator,
    "predict_infill": FlexmdmPredictInfillCollator,
    "unconditional": FlexmdmPredictCollator,
}

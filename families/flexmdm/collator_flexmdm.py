# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""From examples to batches in which some tokens are masked and others missing.

Shapes: B rows, L positions, N masked positions.
"""

from collections.abc import Sequence

import torch

from xlmgen.runtime.collate.gaps import (
    GapLayout,
    close_up,
    infill_gaps,
    lm_gaps,
    prompt_gaps,
    room,
    seq2seq_gaps,
)
from xlmgen.runtime.collate.layout import Example, count, flat_positions, with_token_at
from xlmgen.runtime.noise import LinearSchedule, Rising, draw_times
from xlmgen.runtime.special_tokens import Block, SpecialTokens

from .types_flexmdm import FlexmdmBatch, FlexmdmPrompt


class FlexmdmLmCollator:
    """`[BOS] tokens` at a time between 0 (nothing) and 1 (all of it).

    A token is inserted, as MASK, at a time T₁ with distribution function a, and
    unmasked at a later time T₂, b's distribution from T₁ on (arXiv:2509.01025).

    Args:
        tokens: ids of the special tokens.
        block: lengths that the examples must fit in.
        evaluation: draw times from the whole of [0, 1).
    """

    layout = staticmethod(lm_gaps)
    insert = Rising(LinearSchedule())
    unmask = Rising(LinearSchedule())

    def __init__(
        self, tokens: SpecialTokens, block: Block, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.block = block
        self.sampling_eps = 0.0 if evaluation else 0.001

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> FlexmdmBatch:
        clean = self.layout(examples, self.tokens, self.block, eos=False)
        # 1. A time for every row, spread evenly over the batch.
        t = 1 - draw_times(
            len(examples),
            generator,
            sampling_eps=self.sampling_eps,
            antithetic=True,
        )  # (B,)
        span = torch.full_like(t, 1 - self.sampling_eps)

        # 2. A token of the answer is missing before T₁ and masked from T₁ to T₂.
        draws = torch.rand(2, *clean.ids.shape, generator=generator)
        inserted = self.insert.inverse(draws[0])  # T₁
        missing = clean.answer & (t[:, None] < inserted)
        hidden = draws[1] < self.unmask.remains(inserted, t[:, None])  # T₂ > t
        masked = clean.answer & ~missing & hidden

        # 3. What is left closes up, and every gap counts what is missing in it.
        left = close_up(clean, missing, self.tokens.pad)
        masked_at = flat_positions(left.closing.move(masked))
        return {
            "input_ids": with_token_at(left.ids, masked_at, self.tokens.mask),
            "attention_mask": left.attention_mask,
            "target_ids": left.ids,
            "masked_at": masked_at,
            "free": left.free,
            "missing": left.gaps,
            "num_tokens": count(clean.answer),
            "t": t,
            "span": span,
        }


class FlexmdmSeq2SeqCollator(FlexmdmLmCollator):
    """`prompt [BOS] target`: nothing before the target is touched."""

    layout = staticmethod(seq2seq_gaps)


class FlexmdmInfillCollator(FlexmdmLmCollator):
    """A sequence with holes: only tokens of the holes are masked or missing."""

    layout = staticmethod(infill_gaps)


class FlexmdmPredictCollator:
    """`prompt [BOS]`; without a prompt `[BOS]`: what is given."""

    def __init__(self, tokens: SpecialTokens, block: Block) -> None:
        self.tokens = tokens
        self.block = block

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> FlexmdmPrompt:
        clean = self.layout(examples)
        given = close_up(clean, clean.answer, self.tokens.pad)
        return {
            "input_ids": given.ids,
            "attention_mask": given.attention_mask,
            "free": given.free,
            "room": room(given, self.block, eos=False),
        }

    def layout(self, examples: Sequence[Example]) -> GapLayout:
        return prompt_gaps(examples, self.tokens, self.block, eos=False)


class FlexmdmPredictInfillCollator(FlexmdmPredictCollator):
    """A sequence whose holes are empty: only there it may grow."""

    def layout(self, examples: Sequence[Example]) -> GapLayout:
        return infill_gaps(examples, self.tokens, self.block, eos=False)


COLLATORS = {
    "lm": FlexmdmLmCollator,
    "seq2seq": FlexmdmSeq2SeqCollator,
    "infill": FlexmdmInfillCollator,
    "predict": FlexmdmPredictCollator,
    "predict_infill": FlexmdmPredictInfillCollator,
    "unconditional": FlexmdmPredictCollator,
}

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""From examples to batches in which some tokens are hidden behind MASK.

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
from xlmgen.runtime.special_tokens import Block, SpecialTokens

from .types_llada import LladaBatch, LladaPrompt


class LladaLmCollator:
    """`tokens [EOS] [PAD]…`, masked at the rate of the noise schedule.

    Args:
        tokens: ids of the special tokens.
        block: lengths that the examples must fit in.
        evaluation: draw times from the whole of (0, 1].
    """

    layout = staticmethod(lm_layout)
    schedule = LinearSchedule()

    def __init__(
        self, tokens: SpecialTokens, block: Block, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.block = block
        self.sampling_eps = 0.0 if evaluation else 0.001

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> LladaBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.block,
            bos=False,
            eos=True,
            pad_to_block=True,
        )
        # 1. A time for every row, spread evenly over the batch.
        t = draw_times(
            len(examples),
            generator,
            sampling_eps=self.sampling_eps,
            antithetic=True,
        )  # (B,)
        span = torch.full_like(t, 1 - self.sampling_eps)

        # 2. Every token of the answer is masked with probability 1 − α(t).
        rate = self.schedule.noise(t)[:, None]
        draws = torch.rand(clean.ids.shape, generator=generator)
        masked = clean.answer & (draws < rate)
        masked_at = flat_positions(masked)
        input_ids = with_token_at(clean.ids, masked_at, self.tokens.mask)
        return {
            "input_ids": input_ids,
            "attention_mask": clean.attention_mask,
            "target_ids": clean.ids,
            "maskable": clean.answer,
            "masked_at": masked_at,
            "t": t,
            "span": span,
        }


class LladaSeq2SeqCollator(LladaLmCollator):
    """`prompt target [EOS] [PAD]…`: the prompt is never masked."""

    layout = staticmethod(seq2seq_layout)


class LladaInfillCollator(LladaLmCollator):
    """A sequence with holes: what is given is never masked."""

    layout = staticmethod(infill_layout)


class LladaPredictCollator:
    """A prompt and an answer that is all MASK; without a prompt all is MASK."""

    def __init__(self, tokens: SpecialTokens, block: Block) -> None:
        self.tokens = tokens
        self.block = block

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> LladaPrompt:
        canvas = self.layout(examples)
        return {
            "input_ids": canvas.ids.masked_fill(canvas.answer, self.tokens.mask),
            "attention_mask": canvas.attention_mask,
            "fillable": canvas.answer,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.block, bos=False)


class LladaPredictInfillCollator(LladaPredictCollator):
    """A sequence whose holes are MASK."""

    def layout(self, examples: Sequence[Example]) -> Layout:
        return infill_layout(
            examples,
            self.tokens,
            self.block,
            bos=False,
            eos=True,
            pad_to_block=True,
        )


COLLATORS = {
    "lm": LladaLmCollator,
    "seq2seq": LladaSeq2SeqCollator,
    "infill": LladaInfillCollator,
    "predict": LladaPredictCollator,
    "predict_infill": LladaPredictInfillCollator,
    "unconditional": LladaPredictCollator,
}

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
from xlmgen.runtime.special_tokens import Block, SpecialTokens

from .types_mlm import MlmBatch, MlmPrompt


class MlmLmCollator:
    """`tokens [EOS] [PAD]…`, masked at a rate drawn from [0, 1] for every row.

    Args:
        tokens: ids of the special tokens.
        block: lengths that the examples must fit in.
        evaluation: changes nothing here, where no time is drawn.
    """

    layout = staticmethod(lm_layout)

    def __init__(
        self, tokens: SpecialTokens, block: Block, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.block = block

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> MlmBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.block,
            bos=False,
            eos=True,
            pad_to_block=True,
        )
        # 1. A rate for every row.
        rate = torch.rand(len(examples), 1, generator=generator)

        # 2. Every token of the answer is selected with that probability, independently.
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
        }


class MlmSeq2SeqCollator(MlmLmCollator):
    """`prompt target [EOS] [PAD]…`: the prompt is never masked."""

    layout = staticmethod(seq2seq_layout)


class MlmInfillCollator(MlmLmCollator):
    """A sequence with holes: what is given is never masked."""

    layout = staticmethod(infill_layout)


class MlmPredictCollator:
    """A prompt and an answer that is all MASK; without a prompt all is MASK."""

    def __init__(self, tokens: SpecialTokens, block: Block) -> None:
        self.tokens = tokens
        self.block = block

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> MlmPrompt:
        canvas = self.layout(examples)
        return {
            "input_ids": canvas.ids.masked_fill(canvas.answer, self.tokens.mask),
            "attention_mask": canvas.attention_mask,
            "fillable": canvas.answer,
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.block, bos=False)


class MlmPredictInfillCollator(MlmPredictCollator):
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
    "lm": MlmLmCollator,
    "seq2seq": MlmSeq2SeqCollator,
    "infill": MlmInfillCollator,
    "predict": MlmPredictCollator,
    "predict_infill": MlmPredictInfillCollator,
    "unconditional": MlmPredictCollator,
}

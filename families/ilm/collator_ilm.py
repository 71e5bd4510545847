# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""From examples to batches in which some tokens are missing.

Shapes: B rows, L positions, S slots, D dropped tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from xlmgen.runtime.collate.dropping import close_gaps
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
from xlmgen.runtime.special_tokens import Block, SpecialTokens

from .types_ilm import IlmBatch, IlmPrompt


class IlmLmCollator:
    """`[CLS] BOS tokens`, some of the tokens left out.

    Args:
        tokens: ids of the special tokens.
        block: lengths that the examples must fit in; CLS is not counted.
        evaluation: changes nothing here, where all is drawn alike.
    """

    layout = staticmethod(lm_layout)

    def __init__(
        self, tokens: SpecialTokens, block: Block, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.block = block

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> IlmBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.block,
            bos=True,
            eos=False,
            pad_to_block=False,
        )
        # 1. Every token is dropped with a probability that its row draws from U(0, 1):
        # of n tokens then N ~ U{0, …, n}, and every subset of that size is alike.
        rate = torch.rand(len(examples), 1, dtype=torch.float64, generator=generator)
        draws = torch.rand(clean.ids.shape, generator=generator)
        dropped = clean.answer & (draws < rate)  # (B, L)

        # 2. The gaps are closed; each dropped token belongs to the slot on its left.
        kept = close_gaps(clean, dropped, self.tokens)
        return {
            "input_ids": kept.ids,
            "attention_mask": kept.attention_mask,
            "slot_at": flat_positions(kept.slots),
            "target_slot": kept.slot_of_dropped,
            "target_ids": clean.ids.take(flat_positions(dropped)),
            "num_dropped": count(dropped),
            "answer_length": count(clean.answer),
        }


class IlmSeq2SeqCollator(IlmLmCollator):
    """`[CLS] prompt BOS target`: the prompt is never dropped."""

    layout = staticmethod(seq2seq_layout)


class IlmInfillCollator(IlmLmCollator):
    """A sequence with holes: what is given is never dropped, and has no slots."""

    layout = staticmethod(infill_layout)


class IlmPredictCollator:
    """`[CLS] prompt BOS`; without a block for prompts `[CLS] BOS prompt`."""

    def __init__(self, tokens: SpecialTokens, block: Block) -> None:
        self.tokens = tokens
        self.block = block

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> IlmPrompt:
        whole = self.layout(examples)
        given = close_gaps(whole, whole.answer, self.tokens)
        return {
            "input_ids": given.ids,
            "attention_mask": given.attention_mask,
            "slots": given.slots,
            "room": self.room(whole),
        }

    def layout(self, examples: Sequence[Example]) -> Layout:
        return masked_prompt_layout(examples, self.tokens, self.block, bos=True)

    def room(self, whole: Layout) -> Tensor:
        return count(whole.answer)


class IlmPredictInfillCollator(IlmPredictCollator):
    """A sequence without what is in its holes."""

    def layout(self, examples: Sequence[Example]) -> Layout:
        return infill_layout(
            examples,
            self.tokens,
            self.block,
            bos=True,
            eos=False,
            pad_to_block=False,
        )

    def room(self, whole: Layout) -> Tensor:
        return self.block.answer - count(whole.attended & ~whole.answer)


COLLATORS = {
    "lm": IlmLmCollator,
    "seq2seq": IlmSeq2SeqCollator,
    "infill": IlmInfillCollator,
    "predict": IlmPredictCollator,
    "predict_infill": IlmPredictInfillCollator,
    "unconditional": IlmPredictCollator,
}

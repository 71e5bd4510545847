# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches whose blocks of tokens are masked at their own rates.

Shapes: B rows, L positions, A answer positions, K blocks, N masked positions.
"""

from collections.abc import Sequence

import torch

from xlmgen.runtime.collate.block_layout import (
    block_prompt_layout,
    lm_block_layout,
    seq2seq_block_layout,
)
from xlmgen.runtime.collate.layout import Example, flat_positions, with_token_at
from xlmgen.runtime.noise import LinearSchedule, draw_block_times
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_bd3lm import Bd3lmBatch, Bd3lmPrompt


class Bd3lmLmCollator:
    """Batches of `[BOS] tokens [EOS] [PAD]…`; PAD fills the last block.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: draw times from all of (0, 1], without the training limits.
    """

    layout = staticmethod(lm_block_layout)
    schedule = LinearSchedule()
    block_size = 4

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length
        self.low, self.high = (0.0, 1.0) if evaluation else (0.001, 1.0)

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> Bd3lmBatch:
        clean = self.layout(
            examples, self.tokens, self.max_length, size=self.block_size
        )
        answer = clean.ids[:, clean.context :]  # (B, A)
        maskable = clean.target_mask[:, clean.context :]
        rows, length = answer.shape
        blocks = -(-length // self.block_size)

        # 1. Draw a time for every block, stratified over rows and blocks.
        times = draw_block_times(rows, blocks, generator, antithetic=True)
        times = self.low + (self.high - self.low) * times  # (B, K)
        t = times.repeat_interleave(self.block_size, dim=1)[:, :length]  # (B, A)

        # 2. Mask every token of a block with probability 1 − α(t).
        u = torch.rand(answer.shape, generator=generator)
        masked = maskable & (u < self.schedule.noise(t))
        masked_positions = flat_positions(masked)
        return {
            "input_ids": with_token_at(answer, masked_positions, self.tokens.mask),
            "clean_ids": clean.ids,
            "attention_mask": clean.attention_mask,
            "maskable": maskable,
            "masked_positions": masked_positions,
            "t": t,
            "time_weight": self.high - self.low,
            "block_size": self.block_size,
        }


class Bd3lmSeq2SeqCollator(Bd3lmLmCollator):
    """Batches of `[PAD]… prompt [BOS] target [EOS] [PAD]…`; blocks begin after BOS."""

    layout = staticmethod(seq2seq_block_layout)


class Bd3lmPredictCollator:
    """Prompts: a context, then blocks of MASK; blocks may begin with given tokens."""

    block_size = 4

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> Bd3lmPrompt:
        prompt = block_prompt_layout(examples, self.tokens, self.max_length)
        return {
            "input_ids": prompt.ids,
            "attention_mask": prompt.attention_mask,
            "fillable": prompt.target_mask,
            "context": prompt.context,
            "block_size": self.block_size,
        }


COLLATORS = {
    "lm": Bd3lmLmCollator,
    "seq2seq": Bd3lmSeq2SeqCollator,
    "predict": Bd3lmPredictCollator,
    "unconditional": Bd3lmPredictCollator,
}

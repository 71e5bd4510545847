# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Collate examples into batches in which the next token is the target.

Shapes: B rows, L positions, P prompt, N scored positions.
"""

from collections.abc import Sequence

import torch

from xlmgen.runtime.collate.layout import (
    Example,
    flat_positions,
    lm_layout,
    prompt_layout,
    seq2seq_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

from .types_arlm import ArlmBatch, ArlmPrompt


class ArlmLmCollator:
    """Batches of `[BOS] tokens [EOS]`; all tokens are scored, including the first.

    Args:
        tokens: ids of the special tokens.
        max_length: maximum lengths of the examples.
        evaluation: has no effect, because no noise is drawn.
    """

    layout = staticmethod(lm_layout)

    def __init__(
        self, tokens: SpecialTokens, max_length: MaxLength, *, evaluation: bool = False
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> ArlmBatch:
        clean = self.layout(
            examples,
            self.tokens,
            self.max_length,
            bos=True,
            eos=True,
            pad_to_max_length=False,
        )
        # Causal attention never looks ahead, so pads on the right need no mask.
        scored = clean.target_mask[:, 1:]
        return {
            "input_ids": clean.ids[:, :-1],
            "target_ids": clean.ids[:, 1:].masked_fill(~scored, -100),
            "scored_positions": flat_positions(scored),
            "documents": clean.columns(slice(-1)).documents,
        }


class ArlmSeq2SeqCollator(ArlmLmCollator):
    """Batches of `prompt [BOS] target [EOS]`; tokens after BOS are scored."""

    layout = staticmethod(seq2seq_layout)


class ArlmPredictCollator:
    """Prompts `prompt [BOS]`, padded on the left; `[BOS]` if there is no prompt."""

    def __init__(self, tokens: SpecialTokens, max_length: MaxLength) -> None:
        self.tokens = tokens
        self.max_length = max_length

    def __call__(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> ArlmPrompt:
        prompt = prompt_layout(examples, self.tokens, self.max_length, bos=True)
        # Without a limit for prompts, prompt and answer share the limit of the answer.
        used = 0 if self.max_length.prompt else prompt.ids.shape[1]
        return {
            "input_ids": prompt.ids,
            "attention_mask": prompt.attention_mask,
            "max_new_tokens": self.max_length.answer - used,
        }


COLLATORS = {
    "lm": ArlmLmCollator,
    "seq2seq": ArlmSeq2SeqCollator,
    "predict": ArlmPredictCollator,
    "unconditional": ArlmPredictCollator,
}

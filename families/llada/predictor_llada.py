# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: the most confident tokens are revealed first, block by block.

Shapes: B rows, L positions, N selected positions, V vocabulary.
"""

import torch
from torch import Tensor

from xlmgen.runtime.decoding.masked import MaskedState, decoding_blocks, split_steps
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.sampling import (
    TokenSampler,
    even_split,
    log_top_prob,
    ranks,
    spread,
)
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_llada import LladaModel
from .types_llada import LladaPrompt


class LladaPredictor:
    """The most confident tokens are revealed first, block by block.

    Reveals the positions with the highest probability first. One position per step is
    exact, because the choice of the position depends on the distribution and not on the
    draw; several per step are a heuristic. The answer is divided into blocks of 32,
    decoded left to right.

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        steps: number of steps from all masked to none; None takes one per token to
            fill.
        decoding_block: tokens per decoding block.
        temperature: divides the logits before sampling; 0 takes the most likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        steps: int | None = 128,
        decoding_block: int = 32,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.steps = steps
        self.decoding_block = decoding_block
        suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: LladaModel,
        batch: LladaPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill every masked position; given tokens never change."""
        state = MaskedState(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["fillable"],
            self.tokens.mask,
            trace=trace,
        )
        areas = decoding_blocks(state.fillable, self.decoding_block)
        for area, steps in zip(areas, split_steps(self.steps, len(areas)), strict=True):
            state.begin_block()
            self._fill(state, area, steps, generator)
        return state.generation()

    def _fill(
        self,
        state: MaskedState,
        area: Tensor,
        steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        """Fill one block: the masked positions in `area` (B, L)."""
        steps = steps or int((state.masked & area).sum(1).max())
        for step in range(steps):
            masked = state.masked & area
            if not masked.any():
                break

            # 1. Score every masked position by the model's confidence.
            logits = state.logits(masked)  # (N, V)
            scores = self.sample.rate(logits, log_top_prob)  # (N,)
            scores = spread(scores, masked)  # (B, L)

            # 2. Select the best positions, an equal number per remaining step.
            number = even_split(masked.sum(1), steps - step)  # (B,)
            reveal = masked & (ranks(scores) < number[:, None])

            # 3. Draw their tokens.
            tokens = self.sample(logits[reveal[masked]], generator)
            state.reveal(reveal, tokens, step)

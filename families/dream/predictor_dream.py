# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: the most confident tokens are revealed first.

Shapes: B rows, L positions, N selected positions, V vocabulary.
"""

import torch

from xlmgen.runtime.decoding.masked import MaskedState
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.sampling import (
    TokenSampler,
    even_split,
    negative_entropy,
    ranks,
    spread,
)
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_dream import DreamModel
from .types_dream import DreamPrompt


class DreamPredictor:
    """The most confident tokens are revealed first.

    Reveals the positions with the lowest entropy first. One position per step is exact,
    because the choice of the position depends on the distribution and not on the draw;
    several per step are a heuristic. Positions are ranked by the probabilities that
    tokens are drawn from, after temperature, `top_k` and `top_p`.

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        steps: number of steps from all masked to none; None takes one per token to
            fill.
        temperature: divides the logits before sampling; 0 takes the most likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        steps: int | None = None,
        temperature: float = 0.2,
        top_k: int | None = None,
        top_p: float | None = 0.95,
    ) -> None:
        self.tokens = tokens
        self.steps = steps
        suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: DreamModel,
        batch: DreamPrompt,
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
        steps = self.steps or int(state.masked.sum(1).max())
        for step in range(steps):
            masked = state.masked
            if not masked.any():
                break

            # 1. Score every masked position by the model's confidence.
            logits = state.logits(masked)  # (N, V)
            scores = self.sample.rate(logits, negative_entropy, shaped=True)  # (N,)
            scores = spread(scores, masked)  # (B, L)

            # 2. Select the best positions, an equal number per remaining step.
            number = even_split(masked.sum(1), steps - step)  # (B,)
            reveal = masked & (ranks(scores) < number[:, None])

            # 3. Draw their tokens.
            tokens = self.sample(logits[reveal[masked]], generator)
            state.reveal(reveal, tokens, step)
        return state.generation()

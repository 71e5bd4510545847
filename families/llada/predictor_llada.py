# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: the tokens that the model is surest of come first, block by block.

Shapes: B rows, L positions, N chosen positions, V vocabulary.
"""

import torch
from torch import Tensor, nn

from xlmgen.runtime.decoding.masked import Canvas, blocks, split_steps
from xlmgen.runtime.sampling import (
    Generation,
    TokenSampler,
    even_split,
    log_top_prob,
    ranks,
    spread,
)
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_llada import LladaPrompt


class LladaPredictor:
    """The tokens that the model is surest of come first, block by block.

    Reveals the positions with the highest probability first. One position per step is
    exact, since the choice looks at the distribution and not at the draw; several per
    step are a heuristic. The answer is cut into blocks of 32, decoded left to right.

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        steps: number of steps, divided evenly over the blocks; None is one for every
            token to fill.
        block: tokens per block.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the smallest set of tokens whose mass reaches p.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        steps: int | None = 128,
        block: int = 32,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.steps = steps
        self.block = block
        never = tokens.never("bos", "mask", "cls")
        self.sample = TokenSampler(never, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: nn.Module,
        batch: LladaPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill every masked position; what is given never changes."""
        canvas = Canvas(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["fillable"],
            self.tokens.mask,
            trace=trace,
        )
        areas = blocks(canvas.fillable, self.block)
        for area, steps in zip(areas, split_steps(self.steps, len(areas)), strict=True):
            canvas.begin_block()
            self._fill(canvas, area, steps, generator)
        return canvas.generation()

    def _fill(
        self,
        canvas: Canvas,
        area: Tensor,
        steps: int | None,
        generator: torch.Generator | None,
    ) -> None:
        """Fill one block: the masked positions in `area` (B, L)."""
        steps = steps or int((canvas.masked & area).sum(1).max())
        for step in range(steps):
            masked = canvas.masked & area
            if not masked.any():
                break

            # 1. How sure the model is of every masked position.
            logits = canvas.logits(masked)  # (N, V)
            scores = self.sample.rate(logits, log_top_prob)  # (N,)
            scores = spread(scores, masked)  # (B, L)

            # 2. The best of them: an even share of what is left.
            number = even_split(masked.sum(1), steps - step)  # (B,)
            reveal = masked & (ranks(scores) < number[:, None])

            # 3. Their tokens.
            tokens = self.sample(logits[reveal[masked]], generator)
            canvas.reveal(reveal, tokens, step)

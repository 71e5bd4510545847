# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: masked tokens are revealed one by one in random order, block by block.

Shapes: B rows, L positions, N chosen positions, V vocabulary.
"""

import torch
from torch import nn

from xlmgen.runtime.decoding.blockwise import BlockCanvas, BlockRows
from xlmgen.runtime.sampling import Generation, TokenSampler, ranks
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_bd3lm import Bd3lmPrompt


class Bd3lmPredictor:
    """Masked tokens are revealed one by one in random order, block by block.

    First-hitting sampling (arXiv:2409.02908): the reveal times themselves are drawn, so
    one forward pass reveals one token of every row. Exact. This happens within a block;
    the keys and values of finished blocks are kept (arXiv:2503.09573). A row ends with
    the block that holds its EOS and leaves the batch.

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        max_length: at most so long an answer, EOS included; None is the task's answer.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the smallest set of tokens whose mass reaches p.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        max_length: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.max_length = max_length
        never = tokens.never("bos", "mask", "cls")
        self.sample = TokenSampler(never, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: nn.Module,
        batch: Bd3lmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill one block after the other; what is given never changes."""
        rows = BlockRows(
            model,
            batch,
            self.tokens,
            max_length=self.max_length,
            trace=trace,
        )
        for canvas in rows.blocks():
            self._fill(canvas, generator)
        return rows.generation()

    def _fill(self, canvas: BlockCanvas, generator: torch.Generator | None) -> None:
        """Fill one block of every row, behind what is finished."""
        # The noise level 1 − α at which a token is revealed is uniform: the tokens of a
        # row come in random order, the noisiest level first, one per forward pass.
        hidden = canvas.masked
        levels = canvas.uniform(generator).masked_fill(~hidden, -1)  # (B, L)
        turns = ranks(levels)
        for step in range(int(hidden.sum(1).max())):
            reveal = hidden & (turns == step)
            logits = canvas.logits(reveal)  # (N, V)
            canvas.reveal(reveal, self.sample(logits, generator), step)

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: masked tokens are revealed one by one in random order, block by block.

Shapes: B rows, L positions, N selected positions, V vocabulary.
"""

import torch

from xlmgen.runtime.decoding.blockwise import BlockState, BlockwiseState
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.sampling import TokenSampler, ranks
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_bd3lm import Bd3lmModel
from .types_bd3lm import Bd3lmPrompt


class Bd3lmPredictor:
    """Masked tokens are revealed one by one in random order, block by block.

    First-hitting sampling (arXiv:2409.02908): the times at which tokens are revealed
    are drawn, and one forward pass reveals one token of every row. Exact. Blocks are
    filled one by one; keys and values of finished blocks are cached (arXiv:2503.09573).
    A row leaves the batch after the block that holds its EOS.

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        max_length: maximum length of the answer in tokens, EOS and given tokens
            included; None is the task's limit.
        temperature: divides the logits before sampling; 0 takes the most likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
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
        suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: Bd3lmModel,
        batch: Bd3lmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill the blocks from left to right; given tokens never change."""
        rows = BlockwiseState(
            model,
            batch,
            self.tokens,
            max_length=self.max_length,
            trace=trace,
        )
        for state in rows.blocks():
            self._fill(state, generator)
        return rows.generation()

    def _fill(self, state: BlockState, generator: torch.Generator | None) -> None:
        """Fill the next block of every row."""
        # The noise level 1 − α at which a token is revealed is uniform on [0, 1]. One
        # forward pass reveals one token of every row, from the highest level down.
        hidden = state.masked
        levels = state.uniform(generator).masked_fill(~hidden, -1)  # (B, L)
        order = ranks(levels)
        for step in range(int(hidden.sum(1).max())):
            reveal = hidden & (order == step)
            logits = state.logits(reveal)  # (N, V)
            state.reveal(reveal, self.sample(logits, generator), step)

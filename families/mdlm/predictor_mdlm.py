# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: masked tokens are revealed in random order.

Shapes: B rows, L positions, N selected positions, V vocabulary.
"""

from itertools import pairwise

import torch

from xlmgen.runtime.decoding.masked import MaskedState
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_mdlm import MdlmModel
from .types_mdlm import MdlmPrompt


class MdlmPredictor:
    """Masked tokens are revealed in random order.

    Ancestral sampling (arXiv:2406.07524). Exact as the number of steps grows: tokens
    revealed in one step are drawn independently.

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        steps: number of steps from all masked to none.
        temperature: divides the logits before sampling; 0 takes the most likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
    """

    schedule = LinearSchedule()

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        steps: int = 128,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.steps = steps
        suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: MdlmModel,
        batch: MdlmPrompt,
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
        times = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        noise = self.schedule.noise(times).tolist()  # 1 − α
        noise[-1] = 0.0  # the last step reveals all masks
        for step, (noise_t, noise_s) in enumerate(pairwise(noise)):
            # From t to s, reveal every masked token with the same probability.
            unmask_prob = 1 - noise_s / noise_t
            reveal = state.masked & (state.uniform(generator) < unmask_prob)
            if not reveal.any():
                continue  # no forward pass is needed
            logits = state.logits(reveal)  # (N, V)
            state.reveal(reveal, self.sample(logits, generator), step)
        return state.generation()

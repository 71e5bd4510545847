# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: all tokens are redrawn in every step, from noise to data.

Shapes: B rows, L positions, N positions to fill, V vocabulary.
"""

from itertools import pairwise

import torch
from torch import Tensor

from xlmgen.runtime.decoding.noisy import NoisyState
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.noise import HybridSchedule
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_gidd import GiddModel
from .types_gidd import GiddPrompt


class GiddPredictor:
    """All tokens are redrawn in every step, from noise to data.

    Ancestral sampling of hybrid diffusion (arXiv:2503.04482). Exact as the number of
    steps grows: tokens of one step are drawn independently. The network predicts every
    token from the others, so a step weighs its prediction with the noisy token itself
    (plug-in bridge).

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        steps: number of steps from noise to data.
        temperature: divides the logits before a clean token is drawn; 0 takes the most
            likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
    """

    schedule = HybridSchedule(uniform_share=0.2)

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
        self.suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.size = tokens.vocab_size - len(self.suppress_tokens)  # K
        self.sample = TokenSampler(self.suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: GiddModel,
        batch: GiddPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill every position to fill, from noise; given tokens never change."""
        fillable = batch["fillable"]
        state = NoisyState(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            fillable,
            self.tokens.vocab_size,
            self.suppress_tokens,
            trace=trace,
        )
        if not fillable.any():
            return state.generation()
        times = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        levels = zip(
            self.schedule.alpha(times).tolist(),
            self.schedule.masked(times).tolist(),
            self.schedule.random(times).tolist(),
            strict=True,
        )
        for step, (now, then) in enumerate(pairwise(levels)):
            (alpha_t, masked_t, random_t), (alpha_s, masked_s, random_s) = now, then
            # 1. Draw a clean token v for every noisy token z from the network.
            logits = state.logits(fillable, float(times[step]))  # (N, V)
            v, z = self.sample(logits, generator), state.ids[fillable]  # (N,)

            # 2. The token at time s is z or new. With a = α_t / α_s, z has the weight
            # a q_s(z), where q_s adds noise to the network's distribution, which does
            # not know z. A new token has the weight of z as noise since s. It is v with
            # probability α_s, else MASK or random.
            a = alpha_t / alpha_s
            hidden = z == self.tokens.mask
            own = self.sample.probability(logits, z)
            own = alpha_s * own + random_s / self.size
            stays = a * own.masked_fill(hidden, masked_s)
            moves = torch.full_like(own, (random_t - a * random_s) / self.size)
            moves = moves.masked_fill(hidden, masked_t - a * masked_s)
            stay = (stays + moves) * state.uniform(fillable, generator) < stays
            new = self._noised(state, fillable, v, masked_s, random_s, generator)
            state.write(fillable, torch.where(stay, z, new), step)
        return state.generation()

    def _noised(
        self,
        state: NoisyState,
        where: Tensor,
        clean: Tensor,
        masked: float,
        random: float,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Replace clean tokens (N,) by MASK or by random ones, in these shares."""
        u = state.uniform(where, generator)
        noise = state.noise(where, generator)
        tokens = torch.where(u < masked + random, noise, clean)
        return tokens.masked_fill(u < masked, self.tokens.mask)

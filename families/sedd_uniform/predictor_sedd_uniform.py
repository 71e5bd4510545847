# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: all tokens are redrawn in every step, from noise to data.

Shapes: B rows, L positions, N positions to fill, V vocabulary.
"""

from itertools import pairwise

import torch

from xlmgen.runtime.decoding.noisy import NoisyState
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.noise import GeometricSchedule
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.runtime.uniform_noise import denoised

from .model_sedd_uniform import SeddUniformModel
from .types_sedd_uniform import SeddUniformPrompt


class SeddUniformPredictor:
    """All tokens are redrawn in every step, from noise to data.

    Ancestral sampling of uniform diffusion (arXiv:2412.10193). Exact as the number of
    steps grows: tokens of one step are drawn independently. The network predicts ratios
    of probabilities of noisy tokens, from which those of clean ones follow
    (arXiv:2310.16834). The network predicts every token from the others, so a step
    weighs its prediction with the noisy token itself (plug-in bridge).

    Args:
        tokens: ids of the special tokens; BOS, MASK, CLS are never generated.
        steps: number of steps from noise to data.
        temperature: divides the logits before a clean token is drawn; 0 takes the most
            likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
    """

    schedule = GeometricSchedule(sigma_min=0.0001, sigma_max=20.0)

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
        model: SeddUniformModel,
        batch: SeddUniformPrompt,
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
        state.ids[fillable] = state.noise(fillable, generator)
        times = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        noise = self.schedule.noise(times).tolist()  # 1 − α
        noise[-1] = 0.0  # the last step leaves no noise
        for step, (noise_t, noise_s) in enumerate(pairwise(noise)):
            # 1. Draw a clean token v for every noisy token z from the network.
            logits = state.logits(fillable, float(times[step]))  # (N, V)
            # They are of noisy tokens; convert them to those of clean tokens.
            logits = denoised(logits, 1 - noise_t, self.suppress_tokens)
            v, z = self.sample(logits, generator), state.ids[fillable]  # (N,)

            # 2. The token at time s is one of three, where a = α_t / α_s and c is the
            # network's distribution, which does not know z:
            #    z with weight a (K α_s c(z) + 1 − α_s),
            #    v with weight (1 − a) α_s,
            #    a random token with weight (1 − a) (1 − α_s).
            alpha_s = 1 - noise_s
            # 1 − a; where α_s rounds to 0, z is noise like any other token.
            moves = (noise_t - noise_s) / alpha_s if alpha_s > 0 else 1.0
            own = self.sample.probability(logits, z)
            stays = (1 - moves) * (self.size * alpha_s * own + noise_s)
            stay = (stays + moves) * state.uniform(fillable, generator) < stays
            random = state.uniform(fillable, generator) < noise_s
            tokens = torch.where(random, state.noise(fillable, generator), v)
            state.write(fillable, torch.where(stay, z, tokens), step)
        return state.generation()

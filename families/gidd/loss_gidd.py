# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: the negative ELBO of diffusion with MASK and random tokens.

Shapes: B rows, L positions, N noisable positions, D width of the hidden states.
"""

import torch

from xlmgen.runtime.nn import linear_mixture, segment_sum
from xlmgen.runtime.noise import HybridSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_gidd import GiddModel
from .types_gidd import GiddBatch, GiddLossOutput


class GiddLoss:
    """Negative evidence lower bound in nats per token (arXiv:2503.04482).

    The network predicts a clean token x given all noisy tokens but its own, z. Let q(v)
    be the distribution of z given x, and qθ(v) that given the prediction. A token at
    time t contributes

        ω · [ KL(q ‖ qθ) + ρ − ln ρ − 1 ], where ρ = q(z) / qθ(z).

    The weight ω is 1 / (t (1 − t)) if z is MASK, half of that if z is random, and if z
    is x, half of that times the probability that z was drawn at random. Summed over a
    row and averaged over t, this is an upper bound on −log p(x). The loss is the sum
    over the batch divided by the number of *noisable* tokens, noised or not.
    """

    schedule = HybridSchedule(uniform_share=0.2)

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens
        self.suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.size = tokens.vocab_size - len(self.suppress_tokens)  # K

    def __call__(self, model: GiddModel, batch: GiddBatch) -> GiddLossOutput:
        # 1. Hidden states of the tokens that may be noised.
        positions = batch["noisable_positions"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden = model(
            input_ids, attention_mask, t=batch["t"], positions=positions
        )  # (N, D)
        x, z = (ids.flatten()[positions] for ids in (batch["target_ids"], input_ids))
        masked, kept = z == self.tokens.mask, z == x
        rows, length = input_ids.shape
        row = positions // length
        t = batch["t"].double()  # differences below need float64

        # 2. Among tokens that are not MASK, α are clean and 1 − α random. There K times
        # q and qθ are K α p + 1 − α for p = 1[v = x] and for the prediction.
        t = t[row].clamp(max=1 - 1e-14)  # (N,); at t = 1 both would be 0 / 0
        c, rest = self.schedule.ratio(t), 1 - t
        alpha, noise = rest / (rest + c), c / (rest + c)
        log_p, log_sum = linear_mixture(
            hidden,
            model.head,
            torch.stack((x, torch.where(masked, x, z))),
            alpha,
            noise,
            suppress_tokens=self.suppress_tokens,
        )
        theta_x, theta_z = self.size * alpha * log_p.double().exp() + noise
        clean = self.size * alpha + noise  # K q at x, which is 1 − α elsewhere

        # 3. KL(q ‖ qθ). The probability of MASK is the same in both.
        others = (self.size - 1) * noise.log() - (log_sum.double() - theta_x.log())
        kl = clean * (clean.log() - theta_x.log()) + noise * others
        kl = kl * (rest + c) / (1 + c) / self.size

        # 4. The divergence of z itself, which is 0 for MASK: ρ = 1.
        ratio = torch.where(kept, clean, noise) / theta_z
        own = torch.where(masked, 0, ratio - ratio.log() - 1)

        # 5. The weight. At t = 1 nothing is left of x, and no loss.
        by_noise = torch.where(kept, noise / clean, 1) / 2
        weight = torch.where(masked, 1, by_noise) / (t * rest)
        weight = torch.where(batch["t"][row] < 1, weight, 0)
        nll = (batch["time_weight"][row] * weight * (kl + own)).to(log_p.dtype)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 6. Mean over the noisable tokens.
        num_tokens = batch["noisable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

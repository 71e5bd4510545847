# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: the negative ELBO of diffusion with uniform noise.

Shapes: B rows, L positions, N noisable positions, D width of the hidden states.
"""

import torch

from xlmgen.runtime.nn import linear_logsumexp, linear_scores, linear_total, segment_sum
from xlmgen.runtime.noise import GeometricSchedule
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.runtime.uniform_noise import uniform_divergence

from .model_sedd_uniform import SeddUniformModel
from .types_sedd_uniform import SeddUniformBatch, SeddUniformLossOutput


class SeddUniformLoss:
    """Negative evidence lower bound in nats per token (arXiv:2310.16834).

    The network predicts how much likelier a row of noisy tokens becomes with token y in
    place of its own, z: s_y = e^{l_y − l_z} for logits l. K times the distribution of z
    given the clean token x is x̄ = K α 1[v = x] + 1 − α, so the ratios given x are r_y =
    x̄_y / x̄_z. A token at time t contributes their score entropy,

        −α′/(K α) · Σ_{y ≠ z} [ s_y − r_y ln s_y + r_y (ln r_y − 1) ].

    Summed over a row and averaged over t, this is an upper bound on −log p(x). The loss
    is the sum over the batch divided by the number of *noisable* tokens, noised or not.
    """

    schedule = GeometricSchedule(sigma_min=0.0001, sigma_max=20.0)

    def __init__(self, tokens: SpecialTokens) -> None:
        self.suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.size = tokens.vocab_size - len(self.suppress_tokens)  # K
        end = torch.ones((), dtype=torch.float64, device="cpu")
        self.prior = uniform_divergence(float(self.schedule.alpha(end)), self.size)

    def __call__(
        self,
        model: SeddUniformModel,
        batch: SeddUniformBatch,
    ) -> SeddUniformLossOutput:
        # 1. Hidden states of the tokens that may be noised.
        positions = batch["noisable_positions"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden = model(
            input_ids, attention_mask, t=batch["t"], positions=positions
        )  # (N, D)
        x, z = (ids.flatten()[positions] for ids in (batch["target_ids"], input_ids))
        rows, length = input_ids.shape
        row = positions // length
        t = batch["t"].double()  # differences below need float64

        # 2. Σ s_y and Σ ln s_y over the K tokens that can be generated but z.
        l_x = linear_scores(hidden, model.head, x)
        l_z = linear_scores(hidden, model.head, z)
        log_sum = linear_logsumexp(
            hidden, model.head, suppress_tokens=self.suppress_tokens
        )
        total = linear_total(hidden, model.head, suppress_tokens=self.suppress_tokens)
        s_sum = torch.expm1(log_sum.double() - l_z.double())
        log_s_sum = total.double() - self.size * l_z.double()
        log_s_x = l_x.double() - l_z.double()

        # 3. Σ r_y (ln r_y − 1 − ln s_y). If z is x, r_y is (1 − α) / x̄_x for all y;
        # else r_y is the inverse of that at x and 1 elsewhere.
        alpha, noise = self.schedule.alpha(t)[row], self.schedule.noise(t)[row]  # (N,)
        kept, clean = x == z, self.size * alpha + noise  # x̄ at x, 1 − α elsewhere
        ratio = noise / clean
        of_kept = ratio * ((self.size - 1) * (ratio.log() - 1) - log_s_sum)
        of_others = -(self.size - 2) - (log_s_sum - log_s_x)
        of_noised = (-ratio.log() - 1 - log_s_x) / ratio + of_others
        score_entropy = s_sum + torch.where(kept, of_kept, of_noised)

        # 4. Weight every token by the time of its row.
        weight = -self.schedule.alpha_prime(t)[row] / alpha.clamp(min=1e-300)
        nll = weight / self.size * score_entropy  # (N,)
        # A row at t = 0 estimates the reconstruction term −ln p(x | z), which α(0) < 1
        # adds to the bound: Bayes' rule, with the predicted distribution of a noisy
        # token for that of a clean one. At t = 0 they are nearly the same.
        log_p_x, log_p_z = (l_each.double() - log_sum.double() for l_each in (l_x, l_z))
        evidence = self.size * alpha * log_p_z.exp() + noise
        posterior = log_p_x + torch.where(kept, clean, noise).log() - evidence.log()
        nll = torch.where(t[row] > 0, nll, -posterior)
        nll = (batch["time_weight"][row] * nll).to(l_z.dtype)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 5. Mean over the noisable tokens.
        num_tokens = batch["noisable"].sum(1)
        # Prior term: the divergence of a noisy token at t = 1 from a uniform one.
        constant = num_tokens * self.prior
        row_nll = row_nll + constant
        loss = (nll.sum() + constant.sum()) / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

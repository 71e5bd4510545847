# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: the negative ELBO of diffusion with uniform noise.

Shapes: B rows, L positions, N noisable positions, D width of the hidden states.
"""

import torch

from xlmgen.runtime.nn import linear_mixture, segment_sum
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_udlm import UdlmModel
from .types_udlm import UdlmBatch, UdlmLossOutput


class UdlmLoss:
    """Negative evidence lower bound in nats per token (arXiv:2412.10193).

    c is the network's distribution of a clean token x given all noisy tokens but its
    own, z. K times the distribution of z is x̄θ = K α c + 1 − α as predicted, and x̄ with
    1[v = x] for c. A token at time t contributes

        −α′/(K α) · Σ_{y ≠ z} [ s_y − r_y ln s_y + r_y (ln r_y − 1) ],

    where s_y = x̄θ_y / x̄θ_z and r_y = x̄_y / x̄_z are the ratios that score entropy
    compares (arXiv:2310.16834). Summed over a row and averaged over t, this is an upper
    bound on −log p(x). The loss is the sum over the batch divided by the number of
    *noisable* tokens, noised or not.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.size = tokens.vocab_size - len(self.suppress_tokens)  # K

    def __call__(self, model: UdlmModel, batch: UdlmBatch) -> UdlmLossOutput:
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

        # 2. x̄θ at x and at z, and Σ ln x̄θ over the K tokens that can be generated.
        alpha, noise = self.schedule.alpha(t)[row], self.schedule.noise(t)[row]  # (N,)
        log_c, log_sum = linear_mixture(
            hidden,
            model.head,
            torch.stack((x, z)),
            alpha,
            noise,
            suppress_tokens=self.suppress_tokens,
        )
        theta_x, theta_z = self.size * alpha * log_c.double().exp() + noise
        log_s_x = theta_x.log() - theta_z.log()
        log_s_sum = log_sum.double() - self.size * theta_z.log()

        # 3. Σ (s_y − r_y) = K / x̄θ_z − K / x̄_z, since both x̄ sum to K.
        clean = self.size * alpha + noise  # x̄ at x, which is 1 − α elsewhere
        kept = x == z
        difference = self.size / theta_z - self.size / torch.where(kept, clean, noise)

        # 4. Σ r_y ln(r_y / s_y). If z is x, r_y is (1 − α) / x̄_x for all y; else r_y is
        # the inverse of that at x and 1 elsewhere.
        ratio = noise / clean
        of_kept = ratio * ((self.size - 1) * ratio.log() - log_s_sum)
        of_noised = (-ratio.log() - log_s_x) / ratio - (log_s_sum - log_s_x)
        score_entropy = difference + torch.where(kept, of_kept, of_noised)

        # 5. Weight every token by the time of its row. Score entropy is 0 where α is.
        weight = -self.schedule.alpha_prime(t)[row] / alpha.clamp(min=1e-30)
        nll = weight / self.size * score_entropy  # (N,)
        nll = (batch["time_weight"][row] * nll).to(log_c.dtype)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 6. Mean over the noisable tokens.
        num_tokens = batch["noisable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

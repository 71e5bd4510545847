# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: score entropy of masked diffusion.

Shapes: B rows, L positions, N masked positions, D width of the hidden states.
"""

import math

import torch

from xlmgen.runtime.nn import linear_logsumexp, linear_scores, segment_sum
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_sedd import SeddModel
from .types_sedd import SeddBatch, SeddLossOutput


class SeddLoss:
    """Negative evidence lower bound in nats per token (arXiv:2310.16834).

    The network predicts how much likelier a row becomes with token v in place of a
    MASK: s_v = r e^{l_v} / K, for logits l of the K tokens but MASK, whose sum is free.
    The true ratio for the clean token x is r = α / (1 − α). A masked token at time t
    contributes

        −α′/α · [ Σ_v s_v − r ln s_x + r (ln r − 1) ] = w(t) · [ S − 1 − ln(S p_x) ],

    where S = Σ_v e^{l_v} / K and p = softmax(l). If S = 1, this is the loss of masked
    diffusion; else it is larger. Summed over a row and averaged over t, it is an upper
    bound on −log p(x). The loss is the sum over the batch divided by the number of
    *maskable* tokens, masked or not.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens
        self.log_size = math.log(tokens.vocab_size - 1)  # ln K

    def __call__(self, model: SeddModel, batch: SeddBatch) -> SeddLossOutput:
        # 1. Hidden states of the masked positions.
        positions = batch["masked_positions"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden = model(
            input_ids, attention_mask, t=batch["t"], positions=positions
        )  # (N, D)
        targets = batch["target_ids"].flatten()[positions]

        # 2. Weight every row by its time: w(t) = −α′(t) / (1 − α(t)).
        weight = self.schedule.weight(batch["t"]) * batch["time_weight"]  # (B,)

        # 3. ln S, over all tokens but MASK, and ln(S p) of the clean token.
        log_s = linear_logsumexp(
            hidden, model.head, suppress_tokens=(self.tokens.mask,)
        )
        log_s = log_s - self.log_size
        log_s_clean = linear_scores(hidden, model.head, targets) - self.log_size

        # 4. Score entropy, and the sum over every row.
        rows, length = input_ids.shape
        row = positions // length
        nll = weight[row] * (torch.expm1(log_s) - log_s_clean)  # (N,)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 5. Mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

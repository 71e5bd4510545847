# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: predict the masked tokens and the number missing in every gap.

Shapes: B rows, L positions, N masked positions, D width of the hidden states.
"""

import torch

from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_flexmdm import FlexmdmModel
from .types_flexmdm import FlexmdmBatch, FlexmdmLossOutput


class FlexmdmLoss:
    """Negative evidence lower bound in nats per token (arXiv:2509.01025).

    With w_a = −a′ / (1 − a) and w_b = −b′ / (1 − b), a row at time t contributes

        w_b(t) · Σ_masked −log p(x_i | z_t)
        + w_a(t) · Σ_gaps (y − x + x log(x / y)),

    where x is the number of tokens missing in a gap and y = (1 − a(t)) · gap > 0 the
    number that the model expects. Averaged over t, this is an upper bound on −log p of
    content and length. The loss is the sum over the batch divided by the number of
    tokens of the answers, missing ones included.
    """

    insert = LinearSchedule()
    unmask = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: FlexmdmModel, batch: FlexmdmBatch) -> FlexmdmLossOutput:
        # 1. Hidden states of the masked positions, and all gaps.
        positions, t = batch["masked_positions"], batch["t"]  # (N,), (B,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden, gap = model(
            input_ids, attention_mask, t=t, positions=positions
        )  # (N, D), (B, L)

        # 2. Weight every row by its time.
        token_weight = self.unmask.weight(t) * batch["time_weight"]  # (B,)
        gap_weight = self.insert.weight(t) * batch["time_weight"]

        # 3. Masked tokens: cross-entropy; a clean token is never MASK.
        targets = batch["target_ids"].flatten()[positions]
        row = positions // input_ids.shape[1]
        nll = linear_cross_entropy(
            hidden,
            model.head,
            targets,
            row_weight=token_weight[row],
            suppress_tokens=(self.tokens.mask,),
        )  # (N,)

        # 4. Gaps: divergence of two Poisson rates, with 0 · log 0 = 0.
        y = self.insert.noise(t)[:, None] * gap.to(nll.dtype)
        y = y.clamp(min=torch.finfo(y.dtype).tiny)
        x = batch["missing"].to(y.dtype)
        divergence = y - x + torch.xlogy(x, x) - x * y.log()  # (B, L)
        row_gaps = torch.where(batch["insertable"], divergence, 0).sum(1)  # (B,)
        gap_nll = gap_weight * row_gaps

        # 5. Nats per token of the answers.
        num_tokens = batch["num_tokens"]
        loss = (nll.sum() + gap_nll.sum()) / num_tokens.sum().clamp(min=1)
        row_nll = (gap_nll + segment_sum(nll, row, len(t))).detach()
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: the negative ELBO of masked diffusion.

Shapes: B rows, L positions, N masked positions, D width of the hidden states.
"""

from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_llada import LladaModel
from .types_llada import LladaBatch, LladaLossOutput


class LladaLoss:
    """Negative evidence lower bound in nats per token (arXiv:2406.07524, eq. 10).

    A row at time t contributes w(t) · Σ_masked −log p(x_i | z_t). Averaged over t, this
    is an upper bound on −log p(x). The loss is the sum over the batch divided by the
    number of *maskable* tokens, masked or not.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: LladaModel, batch: LladaBatch) -> LladaLossOutput:
        # 1. Hidden states of the masked positions.
        positions = batch["masked_positions"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden = model(input_ids, attention_mask, positions=positions)  # (N, D)
        targets = batch["target_ids"].flatten()[positions]

        # 2. Weight every row by its time: w(t) = −α′(t) / (1 − α(t)).
        weight = self.schedule.weight(batch["t"]) * batch["time_weight"]  # (B,)

        # 3. A clean token is never MASK: MASK gets probability 0 (SUBS).
        rows, length = input_ids.shape
        row = positions // length
        nll = linear_cross_entropy(
            hidden,
            model.head,
            targets,
            row_weight=weight[row],
            suppress_tokens=(self.tokens.mask,),
        )  # (N,)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 4. Mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

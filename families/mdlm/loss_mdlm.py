# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: the negative ELBO of masked diffusion.

Shapes: B rows, L positions, N masked positions, V vocabulary.
"""

from torch import nn

from xlmgen.runtime.nn import cross_entropy
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_mdlm import MdlmBatch, MdlmLossOutput


class MdlmLoss:
    """Negative evidence lower bound in nats per token (arXiv:2406.07524, eq. 10).

    A row at time t contributes w(t) · Σ_masked −log p(x_i | z_t). Averaged over t, this
    is an upper bound on −log p(x). The loss is the sum over the batch divided by the
    number of *maskable* tokens, masked or not.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: nn.Module, batch: MdlmBatch) -> MdlmLossOutput:
        # 1. Run the head on the masked positions only.
        at = batch["masked_at"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        logits = model(input_ids, attention_mask, at=at)  # (N, V)
        targets = batch["target_ids"].flatten()[at]

        # 2. Weight every row by its time: w(t) = −α′(t) / (1 − α(t)).
        weight = self.schedule.weight(batch["t"]) * batch["span"]  # (B,)

        # 3. A clean token is never MASK: MASK gets probability 0 (SUBS).
        rows, length = input_ids.shape
        row = at // length
        nll = cross_entropy(logits, targets, weight[row], never=(self.tokens.mask,))
        row_nll = nll.new_zeros(rows).index_add(0, row, nll)

        # 4. Mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = row_nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "nll": row_nll.detach(), "num_tokens": num_tokens}

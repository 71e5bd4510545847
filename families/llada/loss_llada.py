# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The training objective: the bound of masked diffusion.

Shapes: B rows, L positions, N masked positions, V vocabulary.
"""

from torch import nn

from xlmgen.runtime.nn import cross_entropy
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_llada import LladaBatch, LladaLossOutput


class LladaLoss:
    """Negative evidence lower bound in nats per token (arXiv:2406.07524, eq. 10).

    The estimate for one row at its time t is w(t) · Σ_masked −log p(x_i | z_t). Its
    mean over t bounds −log p(x) from above. The batch divides it by the number of
    *maskable* tokens, masked or not, so that it is in nats per token.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: nn.Module, batch: LladaBatch) -> LladaLossOutput:
        # 1. The head runs on the masked positions only.
        at = batch["masked_at"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        logits = model(input_ids, attention_mask, at=at)  # (N, V)
        targets = batch["target_ids"].flatten()[at]

        # 2. Weigh every row by its time: w(t) = −α′(t) / (1 − α(t)).
        weight = self.schedule.weight(batch["t"]) * batch["span"]  # (B,)

        # 3. A clean token is never MASK (SUBS: zero masking probability).
        rows, length = input_ids.shape
        row = at // length
        nll = cross_entropy(logits, targets, weight[row], never=(self.tokens.mask,))
        row_nll = nll.new_zeros(rows).index_add(0, row, nll)

        # 4. Nats per maskable token.
        num_tokens = batch["maskable"].sum(1)
        loss = row_nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "nll": row_nll.detach(), "num_tokens": num_tokens}

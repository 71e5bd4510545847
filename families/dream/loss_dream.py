# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: cross-entropy of the masked tokens, weighted by their context.

Shapes: B rows, L positions, N masked positions, V vocabulary.
"""

from torch import nn

from xlmgen.runtime.context_weight import context_weight
from xlmgen.runtime.nn import cross_entropy
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_dream import DreamBatch, DreamLossOutput


class DreamLoss:
    """Cross-entropy of the masked tokens, weighted by the visible tokens nearby.

    Context-adaptive reweighting (arXiv:2508.15487): masked token i has the weight
    ½ Σ p (1 − p)^(|i − j| − 1), summed over the visible tokens j of its row,
    prompt included. The loss is the sum over the batch divided by the number of
    *maskable* tokens, masked or not. It is no bound on the likelihood.
    """

    context_p = 0.8

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: nn.Module, batch: DreamBatch) -> DreamLossOutput:
        # 1. Run the head on the masked positions only.
        at = batch["masked_at"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        logits = model(input_ids, attention_mask, at=at)  # (N, V)
        targets = batch["target_ids"].flatten()[at]

        # 2. Weight every token by the visible ones around it.
        visible = input_ids != self.tokens.mask
        weight = context_weight(visible, attention_mask, p=self.context_p)  # (B, L)
        weight = weight.flatten()[at]  # (N,)

        # 3. A clean token is never MASK: MASK gets probability 0.
        rows, length = input_ids.shape
        row = at // length
        nll = cross_entropy(logits, targets, weight, never=(self.tokens.mask,))  # (N,)
        row_nll = nll.new_zeros(rows).index_add(0, row, nll)

        # 4. Mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = row_nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "nll": row_nll.detach(), "num_tokens": num_tokens}

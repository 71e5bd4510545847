# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The training objective: recover the masked tokens, those in context above all.

Shapes: B rows, L positions, N masked positions, V vocabulary.
"""

from torch import nn

from xlmgen.runtime.context_weight import context_weight
from xlmgen.runtime.nn import cross_entropy
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_dream import DreamBatch, DreamLossOutput


class DreamLoss:
    """Cross-entropy of the masked tokens, each weighted by what is visible near it.

    Context-adaptive reweighting (arXiv:2508.15487): masked token i weighs
    ½ Σ p (1 − p)^(|i − j| − 1) over the visible tokens j of its row, the prompt's
    included. The batch divides by the number of *maskable* tokens,
    masked or not. It bounds no likelihood.
    """

    context_p = 0.8

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: nn.Module, batch: DreamBatch) -> DreamLossOutput:
        # 1. The head runs on the masked positions only.
        at = batch["masked_at"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        logits = model(input_ids, attention_mask, at=at)  # (N, V)
        targets = batch["target_ids"].flatten()[at]

        # 2. Weigh every token by the visible ones around it.
        visible = input_ids != self.tokens.mask
        weight = context_weight(visible, attention_mask, p=self.context_p)  # (B, L)
        weight = weight.flatten()[at]  # (N,)

        # 3. A clean token is never MASK.
        rows, length = input_ids.shape
        row = at // length
        nll = cross_entropy(logits, targets, weight, never=(self.tokens.mask,))  # (N,)
        row_nll = nll.new_zeros(rows).index_add(0, row, nll)

        # 4. The mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = row_nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "nll": row_nll.detach(), "num_tokens": num_tokens}

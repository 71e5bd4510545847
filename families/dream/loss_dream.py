# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: cross-entropy of the masked tokens, weighted by their context.

Shapes: B rows, L positions, N masked positions, D width of the hidden states.
"""

from xlmgen.runtime.context_weight import context_weight
from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_dream import DreamModel
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

    def __call__(self, model: DreamModel, batch: DreamBatch) -> DreamLossOutput:
        # 1. Hidden states of the masked positions.
        positions = batch["masked_positions"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden = model(input_ids, attention_mask, positions=positions)  # (N, D)
        targets = batch["target_ids"].flatten()[positions]

        # 2. Weight every token by the visible ones around it.
        visible = input_ids != self.tokens.mask
        weight = context_weight(visible, attention_mask, p=self.context_p)  # (B, L)
        weight = weight.flatten()[positions]  # (N,)

        # 3. A clean token is never MASK: MASK gets probability 0.
        rows, length = input_ids.shape
        row = positions // length
        nll = linear_cross_entropy(
            hidden,
            model.head,
            targets,
            row_weight=weight,
            suppress_tokens=(self.tokens.mask,),
        )  # (N,)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 4. Mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

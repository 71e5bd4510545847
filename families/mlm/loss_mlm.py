# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: cross-entropy of the selected tokens.

Shapes: B rows, L positions, N selected positions, V vocabulary.
"""

from torch import nn

from xlmgen.runtime.nn import cross_entropy
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_mlm import MlmBatch, MlmLossOutput


class MlmLoss:
    """Mean cross-entropy of the selected tokens, in nats."""

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: nn.Module, batch: MlmBatch) -> MlmLossOutput:
        # 1. Run the head on the selected positions only.
        at = batch["masked_at"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        logits = model(input_ids, attention_mask, at=at)  # (N, V)
        targets = batch["target_ids"].flatten()[at]

        # 2. A clean token is never MASK: MASK gets probability 0.
        rows, length = input_ids.shape
        row = at // length
        nll = cross_entropy(logits, targets, never=(self.tokens.mask,))  # (N,)
        row_nll = nll.new_zeros(rows).index_add(0, row, nll)

        # 3. Mean over the selected tokens; 0 if none is selected.
        num_tokens = row.new_zeros(rows).index_add(0, row, row.new_ones(row.shape))
        loss = row_nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "nll": row_nll.detach(), "num_tokens": num_tokens}

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: cross-entropy of the selected tokens.

Shapes: B rows, L positions, N selected positions, D width of the hidden states.
"""

from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_mlm import MlmModel
from .types_mlm import MlmBatch, MlmLossOutput


class MlmLoss:
    """Mean cross-entropy of the selected tokens, in nats."""

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: MlmModel, batch: MlmBatch) -> MlmLossOutput:
        # 1. Hidden states of the selected positions.
        positions = batch["masked_positions"]  # (N,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden = model(input_ids, attention_mask, positions=positions)  # (N, D)
        targets = batch["target_ids"].flatten()[positions]

        # 2. A clean token is never MASK: MASK gets probability 0.
        rows, length = input_ids.shape
        row = positions // length
        nll = linear_cross_entropy(
            hidden, model.head, targets, suppress_tokens=(self.tokens.mask,)
        )  # (N,)
        row_nll = segment_sum(nll.detach(), row, rows)

        # 3. Mean over the selected tokens; 0 if none is selected.
        num_tokens = row.new_zeros(rows).index_add(0, row, row.new_ones(row.shape))
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

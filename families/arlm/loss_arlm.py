# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: predict the next token.

Shapes: B rows, L positions, N scored positions, V vocabulary.
"""

from torch import nn

from xlmgen.runtime.nn import cross_entropy
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_arlm import ArlmBatch, ArlmLossOutput


class ArlmLoss:
    """Mean cross-entropy of the scored tokens in nats; exact by the chain rule."""

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: nn.Module, batch: ArlmBatch) -> ArlmLossOutput:
        # 1. Run the head on the scored positions only.
        at = batch["scored_at"]  # (N,)
        logits = model(batch["input_ids"], batch["documents"], at=at)  # (N, V)
        targets = batch["target_ids"].flatten()[at]

        # 2. −log p(x_i | x_<i), summed over every row.
        nll = cross_entropy(logits, targets)  # (N,)
        rows, length = batch["input_ids"].shape
        row_nll = nll.new_zeros(rows).index_add(0, at // length, nll)

        # 3. Mean over the scored tokens of the batch.
        num_tokens = (batch["target_ids"] != -100).sum(1)
        loss = row_nll.sum() / num_tokens.sum().clamp(min=1)
        return {"loss": loss, "nll": row_nll.detach(), "num_tokens": num_tokens}

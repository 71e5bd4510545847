# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: predict the next token.

Shapes: B rows, L positions, N scored positions, D width of the hidden states.
"""

from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_arlm import ArlmModel
from .types_arlm import ArlmBatch, ArlmLossOutput


class ArlmLoss:
    """Mean cross-entropy of the scored tokens in nats; exact by the chain rule."""

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: ArlmModel, batch: ArlmBatch) -> ArlmLossOutput:
        # 1. Hidden states of the scored positions.
        positions = batch["scored_positions"]  # (N,)
        input_ids, documents = batch["input_ids"], batch["documents"]
        hidden = model(input_ids, documents, positions=positions)  # (N, D)
        targets = batch["target_ids"].flatten()[positions]

        # 2. −log p(x_i | x_<i).
        nll = linear_cross_entropy(hidden, model.head, targets)  # (N,)

        # 3. Mean over the scored tokens of the batch.
        num_tokens = (batch["target_ids"] != -100).sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        rows, length = input_ids.shape
        row_nll = segment_sum(nll.detach(), positions // length, rows)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

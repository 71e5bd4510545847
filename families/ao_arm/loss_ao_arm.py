# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: predict the token that comes next in the order of each row.

Shapes: B rows, L positions, N scored positions, D width of the hidden states.
"""

from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_ao_arm import AoArmModel
from .types_ao_arm import AoArmBatch, AoArmLossOutput


class AoArmLoss:
    """Mean cross-entropy of the scored tokens in nats.

    In the order σ of a row it is exact by the chain rule: −log p_σ(x) =
    −Σ_k log p(x_σ(k) | x_σ(<k)). Its mean over random
    orders is an upper bound of −log p(x), where p draws an order first.
    """

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: AoArmModel, batch: AoArmBatch) -> AoArmLossOutput:
        # 1. Hidden states of the scored positions, which know the next position.
        positions = batch["scored_positions"]  # (N,)
        hidden = model(
            batch["input_ids"],
            batch["documents"],
            position_ids=batch["position_ids"],
            next_position_ids=batch["next_position_ids"],
            positions=positions,
        )  # (N, D)
        targets = batch["target_ids"].flatten()[positions]

        # 2. −log p(x_σ(k) | x_σ(<k)).
        nll = linear_cross_entropy(hidden, model.head, targets)  # (N,)

        # 3. Mean over the scored tokens of the batch.
        num_tokens = (batch["target_ids"] != -100).sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        rows, length = batch["input_ids"].shape
        row_nll = segment_sum(nll.detach(), positions // length, rows)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

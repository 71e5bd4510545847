# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The training objective: which tokens are missing where, and whether none is.

Shapes: B rows, L positions, S slots, H width of the hidden states, D dropped tokens.
"""

import torch
import torch.nn.functional as F

from xlmgen.runtime.nn import (
    linear_logsumexp,
    linear_scores,
    segment_logsumexp,
    segment_sum,
)
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_ilm import IlmModel
from .types_ilm import IlmBatch, IlmLossOutput


class IlmLoss:
    """Cross-entropy of insertions and of the decision to stop (arXiv:2505.05755).

    A row that lost N of its n tokens costs −(1/N) · Σ_dropped log p(slot, token),
    nothing where N = 0, and the cross-entropy of the decision whether N is 0. The loss
    is the mean over rows.

    What minimises it generates a sequence with a probability in proportion to p / (n +
    1), p that of the data: it is biased towards short ones.

    An answer of n tokens is made by n + 1 decisions, of which a row shows one at
    random. The cross-entropy of that one times n + 1, less ln n! for the orders of
    insertion, is in expectation a bound on −log p.
    """

    def __init__(self, tokens: SpecialTokens) -> None:
        self.never = tokens.never("pad", "bos", "mask", "cls")

    def __call__(self, model: IlmModel, batch: IlmBatch) -> IlmLossOutput:
        # 1. Hidden states of the slots, and the decision to stop.
        at = batch["slot_at"]  # (S,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden, stop = model(input_ids, attention_mask, at=at)  # (S, H), (B, 2)

        # 2. −log p(slot, token): one softmax over all slots of a row and all tokens.
        rows, length = input_ids.shape
        row = at // length  # (S,)
        slot, dropped = batch["target_slot"], batch["target_ids"]  # (D,), (D,)
        log_partition = linear_logsumexp(
            hidden, model.head, suppress_tokens=self.never
        )  # (S,)
        scores = linear_scores(
            hidden[slot], model.head, dropped, suppress_tokens=self.never
        )  # (D,)
        total = segment_logsumexp(log_partition, row, rows)  # (B,)
        nll = total[row[slot]] - scores

        # 3. Its mean over the tokens that the row has lost.
        num_dropped = batch["num_dropped"]  # (B,)
        insertion_nll = segment_sum(nll, row[slot], rows) / num_dropped.clamp(min=1)

        # 4. Stopping is right where nothing is missing.
        complete = num_dropped == 0
        stop_nll = F.cross_entropy(stop.float(), complete.long(), reduction="none")

        # 5. Rows count alike, whatever the length of their answer.
        num_decisions = batch["answer_length"] + 1  # (B,)
        row_loss = insertion_nll + stop_nll

        # 6. Over all orders of insertion, the bound on −log p of the answer.
        orders = torch.lgamma(num_decisions.float())  # ln n!
        bound = num_decisions * row_loss.detach() - orders
        return {
            "loss": row_loss.mean(),
            "nll": row_loss.detach(),
            "num_tokens": torch.ones_like(num_dropped),
            "bound": bound,
            "num_decisions": num_decisions,
        }

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: predict the dropped tokens, their slots, and when to stop.

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

    A row with N of n tokens dropped has the loss −(1/N) · Σ_dropped log p(slot, token),
    0 if N = 0, plus the cross-entropy of the decision whether N = 0. The loss is the
    mean over rows.

    The minimiser generates a sequence with probability proportional to p / (n + 1),
    where p is its probability in the data: it is biased towards short sequences.

    An answer of n tokens takes n + 1 decisions (n insertions and the stop), and a row
    shows one of them at random. The expected cross-entropy of that decision, times n +
    1, minus ln n! for the orders of insertion, is an upper bound on −log p.
    """

    def __init__(self, tokens: SpecialTokens) -> None:
        self.suppressed = tokens.suppressed("pad", "bos", "mask", "cls")

    def __call__(self, model: IlmModel, batch: IlmBatch) -> IlmLossOutput:
        # 1. Hidden states of the slots, and the decision to stop.
        positions = batch["slot_positions"]  # (S,)
        input_ids, attention_mask = batch["input_ids"], batch["attention_mask"]
        hidden, stop = model(
            input_ids, attention_mask, positions=positions
        )  # (S, H), (B, 2)

        # 2. −log p(slot, token): one softmax over all slots of a row and all tokens.
        rows, length = input_ids.shape
        row = positions // length  # (S,)
        slot, dropped = batch["target_slot"], batch["target_ids"]  # (D,), (D,)
        log_partition = linear_logsumexp(
            hidden, model.head, suppress_tokens=self.suppressed
        )  # (S,)
        scores = linear_scores(
            hidden[slot], model.head, dropped, suppress_tokens=self.suppressed
        )  # (D,)
        total = segment_logsumexp(log_partition, row, rows)  # (B,)
        nll = total[row[slot]] - scores

        # 3. Mean over the dropped tokens of each row.
        num_dropped = batch["num_dropped"]  # (B,)
        insertion_nll = segment_sum(nll, row[slot], rows) / num_dropped.clamp(min=1)

        # 4. Stop is the correct decision for rows without dropped tokens.
        complete = num_dropped == 0
        stop_nll = F.cross_entropy(stop.float(), complete.long(), reduction="none")

        # 5. Weight all rows equally, whatever the length of their answer.
        num_decisions = batch["answer_length"] + 1  # (B,)
        row_loss = insertion_nll + stop_nll

        # 6. Bound on −log p of the answer: all n! orders of insertion generate it.
        orders = torch.lgamma(num_decisions.float())  # ln n!
        bound = num_decisions * row_loss.detach() - orders
        return {
            "loss": row_loss.mean(),
            "row_loss": row_loss.detach(),
            "normalizer": torch.ones_like(num_dropped),
            "bound": bound,
            "num_decisions": num_decisions,
        }

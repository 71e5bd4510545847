# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""The training objective: the bound of block diffusion.

Shapes: B rows, L positions, A of them in blocks, N masked positions, D width of the
hidden states.
"""

from xlmgen.runtime.nn import linear_cross_entropy, segment_sum
from xlmgen.runtime.noise import LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_bd3lm import Bd3lmModel
from .types_bd3lm import Bd3lmBatch, Bd3lmLossOutput


class Bd3lmLoss:
    """Negative evidence lower bound in nats per token (arXiv:2503.09573, section 3).

    The estimate for one block at its time t is w(t) · Σ_masked −log p(x_i | z_t, x_<b),
    where x_<b is all that stands before the block, without noise. Its mean over t,
    added up over the blocks, bounds −log p(x) from above. The batch divides it by the
    number of *maskable* tokens, masked or not, so that it is in nats per token.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: Bd3lmModel, batch: Bd3lmBatch) -> Bd3lmLossOutput:
        # 1. All blocks in one pass; hidden states of the masked positions.
        at = batch["masked_at"]  # (N,)
        rows, length = batch["input_ids"].shape
        hidden = model(
            batch["input_ids"],
            batch["attention_mask"],
            at=at,
            clean_ids=batch["clean_ids"],
            block_size=batch["block_size"],
        )  # (N, D)
        targets = batch["clean_ids"][:, -length:].flatten()[at]

        # 2. Weigh every token by its block's time: w(t) = −α′(t) / (1 − α(t)).
        weight = self.schedule.weight(batch["t"].flatten()[at]) * batch["span"]  # (N,)

        # 3. A clean token is never MASK (SUBS: zero masking probability).
        nll = linear_cross_entropy(
            hidden,
            model.head,
            targets,
            row_weight=weight,
            suppress_tokens=(self.tokens.mask,),
        )  # (N,)

        # 4. Nats per maskable token.
        num_tokens = batch["maskable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        row_nll = segment_sum(nll.detach(), at // length, rows)
        return {"loss": loss, "nll": row_nll, "num_tokens": num_tokens}

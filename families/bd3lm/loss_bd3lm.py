# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Training loss: the negative ELBO of block diffusion.

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

    A block at time t contributes w(t) · Σ_masked −log p(x_i | z_t, x_<b), where x_<b
    are the clean tokens before the block. The sum over the blocks, averaged over t, is
    an upper bound on −log p(x). The loss is the sum over the batch divided by the
    number of *maskable* tokens, masked or not.
    """

    schedule = LinearSchedule()

    def __init__(self, tokens: SpecialTokens) -> None:
        self.tokens = tokens

    def __call__(self, model: Bd3lmModel, batch: Bd3lmBatch) -> Bd3lmLossOutput:
        # 1. All blocks in one pass; hidden states of the masked positions.
        positions = batch["masked_positions"]  # (N,)
        rows, length = batch["input_ids"].shape
        hidden = model(
            batch["input_ids"],
            batch["attention_mask"],
            positions=positions,
            clean_ids=batch["clean_ids"],
            block_size=batch["block_size"],
        )  # (N, D)
        targets = batch["clean_ids"][:, -length:].flatten()[positions]

        # 2. Weight every token by the time of its block: w(t) = −α′(t) / (1 − α(t)).
        t = batch["t"].flatten()[positions]
        weight = self.schedule.weight(t) * batch["time_weight"]  # (N,)

        # 3. A clean token is never MASK (SUBS: zero masking probability).
        nll = linear_cross_entropy(
            hidden,
            model.head,
            targets,
            row_weight=weight,
            suppress_tokens=(self.tokens.mask,),
        )  # (N,)

        # 4. Mean over the maskable tokens.
        num_tokens = batch["maskable"].sum(1)
        loss = nll.sum() / num_tokens.sum().clamp(min=1)
        row_nll = segment_sum(nll.detach(), positions // length, rows)
        return {"loss": loss, "row_loss": row_nll, "normalizer": num_tokens}

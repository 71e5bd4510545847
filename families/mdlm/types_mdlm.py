# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""What the parts of the family pass to each other.

B rows, L positions, N chosen positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class MdlmBatch(TypedDict):
    """What the collators make for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """Tokens, some of them hidden behind MASK."""

    attention_mask: Bool[Tensor, "B L"] | Int[Tensor, "B L"] | None
    """False on pads that are no tokens; or, of packed documents that are apart, the
    number of each token's; None when all is attended."""

    target_ids: Int[Tensor, "B L"]
    """The clean tokens."""

    maskable: Bool[Tensor, "B L"]
    """The answer: what may be masked; never prompt or given."""

    masked_at: Int[Tensor, " N"]
    """Flat positions (row · L + column) that were chosen."""

    t: Float[Tensor, " B"]
    """The time of each row."""

    span: Float[Tensor, " B"]
    """One over the density that the time was drawn with: 1 − sampling_eps in
    training."""


class MdlmPrompt(TypedDict):
    """What the collators make for generation."""

    input_ids: Int[Tensor, "B L"]
    """Tokens, MASK where one is to be found."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None when there are none."""

    fillable: Bool[Tensor, "B L"]
    """Positions to fill; everything else is given."""


class MdlmLossOutput(TypedDict):
    """What the loss returns."""

    loss: Float[Tensor, ""]
    """Nats per maskable token: what is minimised."""

    nll: Float[Tensor, " B"]
    """An unbiased estimate of each row's bound on −log p, in nats."""

    num_tokens: Int[Tensor, " B"]
    """Maskable tokens of each row, masked or not."""

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""What the parts of the family pass to each other.

A answer positions, B rows, L positions, N chosen positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class Bd3lmBatch(TypedDict):
    """What the collators make for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B A"]
    """The answer's blocks, some tokens hidden behind MASK."""

    clean_ids: Int[Tensor, "B L"]
    """The context, padded on the left, and the answer without noise."""

    attention_mask: Bool[Tensor, "B L"] | Int[Tensor, "B L"] | None
    """False on pads outside the blocks; or, of packed documents that are apart, the
    number of each token's; None when all is attended."""

    maskable: Bool[Tensor, "B A"]
    """What may be masked: the blocks that a row has."""

    masked_at: Int[Tensor, " N"]
    """Flat positions (row · A + column) that were chosen."""

    t: Float[Tensor, "B A"]
    """The time of each position's block."""

    span: float
    """One over the density that the times were drawn with: how much of [0, 1] they
    cover."""

    block_size: int
    """Tokens per block."""


class Bd3lmPrompt(TypedDict):
    """What the collators make for generation."""

    input_ids: Int[Tensor, "B L"]
    """The context, padded on the left, and MASK where a token is to be found."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None when there are none."""

    fillable: Bool[Tensor, "B L"]
    """Positions to fill; everything else is given."""

    context: int
    """Columns before the first block."""

    block_size: int
    """Tokens per block."""


class Bd3lmLossOutput(TypedDict):
    """What the loss returns."""

    loss: Float[Tensor, ""]
    """Nats per maskable token: what is minimised."""

    nll: Float[Tensor, " B"]
    """An unbiased estimate of each row's bound on −log p, in nats."""

    num_tokens: Int[Tensor, " B"]
    """Maskable tokens of each row, masked or not."""

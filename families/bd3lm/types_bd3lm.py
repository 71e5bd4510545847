# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""Types of the batches and outputs that the parts of the family exchange.

A answer positions, B rows, L positions, N selected positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class Bd3lmBatch(TypedDict):
    """A batch for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B A"]
    """Noisy blocks of the answer, some tokens replaced by MASK."""

    clean_ids: Int[Tensor, "B L"]
    """The context, padded on the left, and the clean answer."""

    attention_mask: Bool[Tensor, "B L"] | Int[Tensor, "B L"] | None
    """False on pads outside the blocks; document number of each token in packed rows
    with separate documents; None if all tokens are attended to."""

    maskable: Bool[Tensor, "B A"]
    """Tokens that may be masked: the blocks of each row."""

    masked_positions: Int[Tensor, " N"]
    """Flat positions (row · A + column) of the masked tokens."""

    t: Float[Tensor, "B A"]
    """Time of each position's block."""

    time_weight: float
    """Time weight: one over the density of the times, the length of their range."""

    block_size: int
    """Tokens per block."""


class Bd3lmPrompt(TypedDict):
    """A batch for generation."""

    input_ids: Int[Tensor, "B L"]
    """The context, padded on the left, and MASK at positions to fill."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None without pads."""

    fillable: Bool[Tensor, "B L"]
    """Positions to fill; all others are given."""

    context: int
    """Number of columns before the first block."""

    block_size: int
    """Tokens per block."""


class Bd3lmLossOutput(TypedDict):
    """Output of the loss."""

    loss: Float[Tensor, ""]
    """Nats per maskable token; this is minimised."""

    row_loss: Float[Tensor, " B"]
    """Unbiased estimate of each row's bound on −log p, in nats."""

    normalizer: Int[Tensor, " B"]
    """Number of maskable tokens of each row."""

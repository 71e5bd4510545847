# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""Types of the batches and outputs that the parts of the family exchange.

B rows, L positions, N selected positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class AoArmBatch(TypedDict):
    """A batch for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """Tokens in the order of generation, pads at the end."""

    position_ids: Int[Tensor, "B L"]
    """Position of each token in its sequence."""

    next_position_ids: Int[Tensor, "B L"]
    """Position of the token that comes next in the order."""

    target_ids: Int[Tensor, "B L"]
    """The token that comes next in the order; −100 where not scored."""

    scored_positions: Int[Tensor, " N"]
    """Flat positions (row · L + column) of the scored targets."""

    documents: Int[Tensor, "B L"] | None
    """Document number of each token in packed rows with separate documents, 0 on pads;
    else None."""


class AoArmPrompt(TypedDict):
    """A batch for generation."""

    input_ids: Int[Tensor, "B L"]
    """Tokens, and MASK at positions to fill."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None without pads."""

    fillable: Bool[Tensor, "B L"]
    """Positions to fill; all others are given."""


class AoArmLossOutput(TypedDict):
    """Output of the loss."""

    loss: Float[Tensor, ""]
    """Nats per scored token; this is minimised."""

    row_loss: Float[Tensor, " B"]
    """−log p of each row's scored tokens in its order, in nats; exact."""

    normalizer: Int[Tensor, " B"]
    """Number of scored tokens of each row."""

# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""Types of the batches and outputs that the parts of the family exchange.

B rows, L positions, N selected positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class FlexmdmBatch(TypedDict):
    """A batch for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """Tokens that are not missing, some replaced by MASK."""

    attention_mask: Bool[Tensor, "B L"] | Int[Tensor, "B L"] | None
    """False on pads; document number of each token in packed rows with separate
    documents; None if all tokens are attended to."""

    target_ids: Int[Tensor, "B L"]
    """The same tokens, clean."""

    masked_positions: Int[Tensor, " N"]
    """Flat positions (row · L + column) of the masked tokens."""

    insertable: Bool[Tensor, "B L"]
    """Tokens after which others may be missing."""

    missing: Int[Tensor, "B L"]
    """Number of tokens missing right after each token."""

    num_tokens: Int[Tensor, " B"]
    """Number of tokens of each row's answer, missing ones included."""

    t: Float[Tensor, " B"]
    """Time of each row, from 1 (empty) to 0 (the data)."""

    time_weight: Float[Tensor, " B"]
    """Time weight: one over the density of the time, 1 − sampling_eps in training."""


class FlexmdmPrompt(TypedDict):
    """A batch for generation."""

    input_ids: Int[Tensor, "B L"]
    """Given tokens."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None without pads."""

    insertable: Bool[Tensor, "B L"]
    """Tokens after which others may be inserted."""

    max_insertions: Int[Tensor, " B"]
    """Maximum number of tokens inserted into each row."""


class FlexmdmLossOutput(TypedDict):
    """Output of the loss."""

    loss: Float[Tensor, ""]
    """Nats per token of the answers; this is minimised."""

    row_loss: Float[Tensor, " B"]
    """Weighted terms of each row at its time, in nats."""

    normalizer: Int[Tensor, " B"]
    """Number of tokens of each row's answer, missing ones included."""

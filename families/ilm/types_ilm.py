# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""Types of the batches and outputs that the parts of the family exchange.

B rows, L positions, S slots, D dropped tokens.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class IlmBatch(TypedDict):
    """A batch for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """CLS and the kept tokens without gaps, padded on the right."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None without pads."""

    slot_positions: Int[Tensor, " S"]
    """Flat positions (row · L + column) of the slots: tokens after which one may be
    missing."""

    target_slot: Int[Tensor, " D"]
    """Index of the slot of each dropped token, among the S slots."""

    target_ids: Int[Tensor, " D"]
    """Dropped tokens, row by row and from left to right."""

    num_dropped: Int[Tensor, " B"]
    """Number of dropped tokens of each row."""

    answer_length: Int[Tensor, " B"]
    """Number of tokens of each row's answer."""


class IlmPrompt(TypedDict):
    """A batch for generation."""

    input_ids: Int[Tensor, "B L"]
    """CLS and the given tokens, padded on the right."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None without pads."""

    insertable: Bool[Tensor, "B L"]
    """Slots: tokens after which one may be inserted."""

    max_insertions: Int[Tensor, " B"]
    """Maximum number of tokens inserted into each row."""


class IlmLossOutput(TypedDict):
    """Output of the loss."""

    loss: Float[Tensor, ""]
    """Mean over rows, in nats; this is minimised."""

    row_loss: Float[Tensor, " B"]
    """Loss of each row."""

    normalizer: Int[Tensor, " B"]
    """1 for every row: the mean is over rows, whatever their length."""

    bound: Float[Tensor, " B"]
    """Unbiased estimate of each row's bound on −log p, in nats."""

    num_decisions: Int[Tensor, " B"]
    """Number of decisions of each answer: its n insertions and the stop."""

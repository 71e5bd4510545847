# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""What the parts of the family pass to each other.

B rows, L positions, S slots, D dropped tokens.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class IlmBatch(TypedDict):
    """What the collators make for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """CLS, then the kept tokens without gaps, padded on the right."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None when there are none."""

    slot_at: Int[Tensor, " S"]
    """Flat positions (row · L + column) of the tokens behind which one may be
    missing."""

    target_slot: Int[Tensor, " D"]
    """Which of the S slots each dropped token belongs to."""

    target_ids: Int[Tensor, " D"]
    """The dropped tokens, row by row and from left to right."""

    num_dropped: Int[Tensor, " B"]
    """How many tokens of each row were dropped."""

    answer_length: Int[Tensor, " B"]
    """How many tokens each row could have lost: the n that their number is drawn
    from."""


class IlmPrompt(TypedDict):
    """What the collators make for generation."""

    input_ids: Int[Tensor, "B L"]
    """CLS, then what is given, padded on the right."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None when there are none."""

    slots: Bool[Tensor, "B L"]
    """The tokens behind which one may be inserted."""

    room: Int[Tensor, " B"]
    """How many tokens at most fit into each row's block."""


class IlmLossOutput(TypedDict):
    """What the loss returns."""

    loss: Float[Tensor, ""]
    """Mean over rows of what is minimised, in nats."""

    nll: Float[Tensor, " B"]
    """What each row contributes to it."""

    num_tokens: Int[Tensor, " B"]
    """1 for every row: the mean is over rows, whatever their length."""

    bound: Float[Tensor, " B"]
    """An unbiased estimate of each row's bound on −log p, in nats."""

    num_decisions: Int[Tensor, " B"]
    """Decisions that make each answer: its n insertions, and to stop."""

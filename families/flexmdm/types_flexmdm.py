# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""What the parts of the family pass to each other.

B rows, L positions, N chosen positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class FlexmdmBatch(TypedDict):
    """What the collators make for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """What is left of each row, some of it hidden behind MASK."""

    attention_mask: Bool[Tensor, "B L"] | Int[Tensor, "B L"] | None
    """False on pads; or, of packed documents that are apart, the number of each
    token's; None when all is attended."""

    target_ids: Int[Tensor, "B L"]
    """The same tokens, none hidden."""

    masked_at: Int[Tensor, " N"]
    """Flat positions (row · L + column) of the masks."""

    free: Bool[Tensor, "B L"]
    """Behind which tokens others may be missing."""

    missing: Int[Tensor, "B L"]
    """How many tokens are missing right behind each one."""

    num_tokens: Int[Tensor, " B"]
    """Tokens of each row's answer, missing ones included."""

    t: Float[Tensor, " B"]
    """The time of each row, from 0 (nothing) to 1 (the data)."""

    span: Float[Tensor, " B"]
    """One over the density that the time was drawn with: 1 − sampling_eps in
    training."""


class FlexmdmPrompt(TypedDict):
    """What the collators make for generation."""

    input_ids: Int[Tensor, "B L"]
    """What is given."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None when there are none."""

    free: Bool[Tensor, "B L"]
    """Behind which tokens others may be inserted."""

    room: Int[Tensor, " B"]
    """How many tokens may be inserted into each row."""


class FlexmdmLossOutput(TypedDict):
    """What the loss returns."""

    loss: Float[Tensor, ""]
    """Nats per token of the answers: what is minimised."""

    nll: Float[Tensor, " B"]
    """Each row's weighted terms at its time, in nats."""

    num_tokens: Int[Tensor, " B"]
    """Tokens of each row's answer, missing ones included."""

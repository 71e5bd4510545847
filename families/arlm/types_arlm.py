# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""What the parts of the family pass to each other.

B rows, L positions, N chosen positions, P prompt positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class ArlmBatch(TypedDict):
    """What the collators make for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """Tokens; pads on the right, which causal attention never sees."""

    target_ids: Int[Tensor, "B L"]
    """The token after each; −100 where it is not scored."""

    scored_at: Int[Tensor, " N"]
    """Flat positions (row · L + column) of the scored targets."""

    documents: Int[Tensor, "B L"] | None
    """Of packed documents that are apart, the number of each token's, 0 on pads; else
    None."""


class ArlmPrompt(TypedDict):
    """What the collators make for generation."""

    input_ids: Int[Tensor, "B P"]
    """Prompts with BOS, padded on the left."""

    attention_mask: Bool[Tensor, "B P"] | None
    """False on pads; None when there are none."""

    max_new_tokens: int
    """The longest answer of the task, EOS included."""


class ArlmLossOutput(TypedDict):
    """What the loss returns."""

    loss: Float[Tensor, ""]
    """Nats per scored token: what is minimised."""

    nll: Float[Tensor, " B"]
    """−log p of each row's scored tokens, in nats: exact."""

    num_tokens: Int[Tensor, " B"]
    """Scored tokens of each row."""

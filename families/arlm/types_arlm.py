# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""Types of the batches and outputs that the parts of the family exchange.

B rows, L positions, N selected positions, P prompt positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class ArlmBatch(TypedDict):
    """A batch for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """Tokens, padded on the right."""

    target_ids: Int[Tensor, "B L"]
    """The token after each; −100 where not scored."""

    scored_positions: Int[Tensor, " N"]
    """Flat positions (row · L + column) of the scored targets."""

    documents: Int[Tensor, "B L"] | None
    """Document number of each token in packed rows with separate documents, 0 on pads;
    else None."""


class ArlmPrompt(TypedDict):
    """A batch for generation."""

    input_ids: Int[Tensor, "B P"]
    """Prompts with BOS, padded on the left."""

    attention_mask: Bool[Tensor, "B P"] | None
    """False on pads; None without pads."""

    max_new_tokens: int
    """Maximum length of the answer, EOS included."""


class ArlmLossOutput(TypedDict):
    """Output of the loss."""

    loss: Float[Tensor, ""]
    """Nats per scored token; this is minimised."""

    row_loss: Float[Tensor, " B"]
    """−log p of each row's scored tokens, in nats; exact."""

    normalizer: Int[Tensor, " B"]
    """Number of scored tokens of each row."""

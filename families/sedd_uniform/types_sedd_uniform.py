# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
# ruff: noqa: F722  (shapes are written as strings)
"""Types of the batches and outputs that the parts of the family exchange.

B rows, L positions, N selected positions.
"""

from typing import TypedDict

from jaxtyping import Bool, Float, Int
from torch import Tensor


class SeddUniformBatch(TypedDict):
    """A batch for training and for evaluating the loss."""

    input_ids: Int[Tensor, "B L"]
    """Tokens, some replaced by noise."""

    attention_mask: Bool[Tensor, "B L"] | Int[Tensor, "B L"] | None
    """False on ignored pads; document number of each token in packed rows with separate
    documents; None if all tokens are attended to."""

    target_ids: Int[Tensor, "B L"]
    """Clean tokens."""

    noisable: Bool[Tensor, "B L"]
    """Tokens that may be replaced: the answer, never prompt or given tokens."""

    noisable_positions: Int[Tensor, " N"]
    """Flat positions (row · L + column) of these tokens."""

    noised_positions: Int[Tensor, " M"]
    """Flat positions of the tokens that were replaced, those that drew their own value
    included."""

    t: Float[Tensor, " B"]
    """Time of each row."""

    time_weight: Float[Tensor, " B"]
    """Time weight: one over the density of the time, 1 − sampling_eps in training."""


class SeddUniformPrompt(TypedDict):
    """A batch for generation."""

    input_ids: Int[Tensor, "B L"]
    """Tokens, and MASK at positions to fill, which the predictor replaces by noise."""

    attention_mask: Bool[Tensor, "B L"] | None
    """False on pads; None without pads."""

    fillable: Bool[Tensor, "B L"]
    """Positions to fill; all others are given."""


class SeddUniformLossOutput(TypedDict):
    """Output of the loss."""

    loss: Float[Tensor, ""]
    """Nats per noisable token; this is minimised."""

    row_loss: Float[Tensor, " B"]
    """Unbiased estimate of each row's bound on −log p, in nats."""

    normalizer: Int[Tensor, " B"]
    """Number of noisable tokens of each row."""

"""Weights of masked tokens by the visible tokens around them."""

import torch
from torch import Tensor

__all__ = ["context_weight"]


def context_weight(
    visible: Tensor, attention_mask: Tensor | None = None, *, p: float
) -> Tensor:
    """½ Σ over visible j of p (1 − p)^(|i − j| − 1) for every position i.

    The context-adaptive reweighting of Dream (Ye et al. 2025, arXiv:2508.15487): a
    mixture of geometric distributions of the distance, in both directions. A token next
    to a visible one has a weight of at least p/2, and in a row without visible tokens
    all weights are 0. The cost is one product of (B, L) with (L, L), or with (B, L, L)
    for rows of several documents.

    Args:
        visible: (B, L) bool, tokens that are not masked, including the prompt.
        attention_mask: (B, L) bool, False on pads, which do not count; or int, the
            document of each token, of which only visible tokens count; or None.
        p: parameter of the geometric distributions, in (0, 1).

    Returns:
        (B, L) float32, for visible tokens too.
    """
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        visible = visible & attention_mask
    position = torch.arange(visible.shape[1], device=visible.device)
    distance = (position[:, None] - position).abs()
    kernel = 0.5 * p * (1 - p) ** (distance - 1).clamp(min=0).double()
    kernel = kernel.masked_fill(distance == 0, 0)
    # In float64: autocast would run a float32 product in half precision.
    if attention_mask is None or attention_mask.dtype == torch.bool:
        return (visible.double() @ kernel).float()
    near = kernel * (attention_mask[:, :, None] == attention_mask[:, None, :])
    return (near @ visible.double()[:, :, None]).squeeze(2).float()

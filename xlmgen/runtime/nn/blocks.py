"""Masks for attention from block to block."""

import torch
from torch import Tensor

from xlmgen.runtime.nn.attention import same_document


def block_diffusion_mask(
    noisy: int, clean_ids: Tensor, block_size: int, attention_mask: Tensor | None
) -> Tensor:
    """Who sees whom in one pass over noisy blocks and clean ones, in this order.

    A noisy block sees itself and the clean blocks before its own; a clean block sees
    itself and the clean blocks before it (arXiv:2503.09573, section 3). What stands
    before the first noisy block, the context, is one clean block of any length.

    Args:
        noisy: A, the number of noisy positions.
        clean_ids: (B, L), the context and the same A positions without noise.
        block_size: tokens per block; the last may have fewer.
        attention_mask: (B, L) bool, False on pads; or int, the document of each token,
            which then sees its own document only; None attends all.

    Returns:
        (B or 1, 1, A + L, A + L) bool, True is seen.
    """
    length, device = clean_ids.shape[1], clean_ids.device
    context = length - noisy
    places = torch.arange(length, device=device) - context
    number = places.div(block_size, rounding_mode="floor").clamp(min=-1)  # (L,)
    number = torch.cat((number[context:], number))
    clean = torch.arange(noisy + length, device=device) >= noisy
    own, other = number[:, None], number[None]
    seen_by_noisy = torch.where(clean, other < own, other == own)
    seen = torch.where(clean[:, None], clean & (other <= own), seen_by_noisy)
    if attention_mask is None:
        return seen[None, None]
    keys = torch.cat((attention_mask[:, context:], attention_mask), dim=1)
    if attention_mask.dtype != torch.bool:
        return seen & same_document(keys, keys)
    return seen & keys[:, None, None, :]

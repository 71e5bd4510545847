"""Rotary position embeddings (Su et al. 2021, arXiv:2104.09864)."""

import torch
from torch import Tensor, nn


def token_positions(input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Positions counted over attended tokens, so that padding on either side is free.

    Args:
        input_ids: (B, L), the tokens of this forward pass.
        attention_mask: (B, S) with S ≥ L over all keys, the last L of them the tokens
            of this pass; None when all are attended and S = L.

    Returns:
        (B, L), or (1, L) when there is no mask.
    """
    length = input_ids.shape[1]
    if attention_mask is None:
        return torch.arange(length, device=input_ids.device)[None]
    return (attention_mask.cumsum(1) - 1).clamp(min=0)[:, -length:]


class Rotary(nn.Module):
    """Cosines and sines for given positions; computed once per forward pass."""

    inverse_frequencies: Tensor

    def __init__(self, head_dim: int, theta: float = 10_000.0) -> None:
        super().__init__()
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("inverse_frequencies", theta**-exponents, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Args: positions (B, L). Returns: cos and sin, each (B, 1, L, head_dim)."""
        angles = positions[:, None, :, None].float() * self.inverse_frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate queries or keys (B, H, L, head_dim) by their positions."""
    cos, sin = rotary
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), dim=-1) * sin.to(x.dtype)

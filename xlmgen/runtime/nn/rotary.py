"""Rotary position embeddings (Su et al. 2021, arXiv:2104.09864)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def token_positions(
    input_ids: Tensor,
    attention_mask: Tensor | None,
    past: int = 0,
    columns: Tensor | None = None,
) -> Tensor:
    """Positions counted over attended tokens, so that padding on either side is free.

    Args:
        input_ids: (B, L), the tokens of this forward pass.
        attention_mask: (B, past + L) over all keys: bool, False on pads; or int, the
            document of each token, where positions begin again with every document;
            None when all are attended.
        past: number of cached tokens before these.
        columns: (B, L) the keys' columns that `input_ids` are at, with a `ColumnCache`;
            None if they are the last ones.

    Returns:
        (B, L), or (1, L) when there is no mask.
    """
    length, device = input_ids.shape[1], input_ids.device
    if attention_mask is None and columns is not None:
        return columns
    if attention_mask is None:
        return torch.arange(past, past + length, device=device)[None]
    if attention_mask.dtype == torch.bool:
        places = (attention_mask.cumsum(1) - 1).clamp(min=0)
    else:
        column = torch.arange(attention_mask.shape[1], device=device)
        begin = column.masked_fill(~document_starts(attention_mask), 0).cummax(1).values
        places = column - begin
    return places[:, -length:] if columns is None else places.gather(1, columns)


def document_starts(documents: Tensor) -> Tensor:
    """(B, L) int, the document of each token → (B, L) bool, True on its first."""
    changes = documents[:, 1:] != documents[:, :-1]
    return F.pad(changes, (1, 0), value=True)


class Rotary(nn.Module):
    """Cosines and sines for given positions; computed once per forward pass."""

    inverse_frequencies: Tensor

    def __init__(self, head_dim: int, theta: float = 10_000.0) -> None:
        super().__init__()
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        self.register_buffer("inverse_frequencies", theta**-exponents, persistent=False)

    def forward(self, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Args: position_ids (B, L). Returns: cos and sin, each (B, 1, L, head_dim)."""
        angles = position_ids[:, None, :, None].float() * self.inverse_frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate queries or keys (B, H, L, head_dim) by their positions."""
    cos, sin = rotary
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), dim=-1) * sin.to(x.dtype)

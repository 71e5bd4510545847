"""Embeddings of absolute positions, for any length."""

import math

import torch
from torch import Tensor, nn

from xlmgen.runtime.nn.linear import Linear

LONGEST = 20_000.0
"""The longest wavelength in positions; the shortest is 2."""


class AbsolutePositions(nn.Module):
    """Fourier features of a position, then a linear layer.

    Rotary positions (`Rotary`) say how far two tokens are apart. Where attention sees
    both sides, nothing then says whether a token is at an even or an odd place, which
    the edges of a graph, the cells of a grid or the columns of a table depend on. The
    wavelengths begin at 2, so that one feature is that bit (sinusoids of Vaswani et al.
    2017, arXiv:1706.03762, section 3.5, begin at 2π). The linear layer learns what any
    table of positions can say (Tancik et al. 2020, arXiv:2006.10739), without a longest
    length.

    Args:
        d_model: width of the stream; even.
    """

    frequencies: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        exponents = torch.arange(0, d_model, 2, dtype=torch.float32) / d_model
        frequencies = math.pi * (LONGEST / 2) ** -exponents
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.projection = Linear(d_model, d_model, bias=False)

    def forward(self, position_ids: Tensor) -> Tensor:
        """Args: position_ids (B, L) int. Returns: (B, L, d_model)"""
        angles = position_ids[..., None].float() * self.frequencies
        features = torch.cat((angles.cos(), angles.sin()), dim=-1)
        return self.projection(features.to(self.projection.weight.dtype))

"""Conditioning on time: sinusoidal features and adaptive layer norm."""

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Features of t in [0, 1]: sinusoids, then a small network.

    Args:
        width: of the result, and of the sinusoids (even).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.network = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, t: Tensor) -> Tensor:
        """Args: t (…), one time for every condition. Returns: (…, width)"""
        half = self.width // 2
        # Periods from 1/1000 of the interval up to ten times its length.
        exponents = torch.arange(half, dtype=torch.float32, device=t.device) / half
        frequencies = 1000.0 * torch.exp(-math.log(10_000.0) * exponents)
        angles = t.float()[..., None] * frequencies
        features = torch.cat((angles.cos(), angles.sin()), dim=-1)
        return self.network(features.to(next(self.network.parameters()).dtype))


class Modulation(nn.Linear):
    """Shifts, scales and gates from a condition (adaLN, DiT, arXiv:2212.09748).

    Args:
        width: of the condition.
        d_model: of the stream.
        parts: how many vectors to return.
    """

    def __init__(self, width: int, d_model: int, parts: int) -> None:
        super().__init__(width, parts * d_model)
        self.parts = parts

    def reset(self) -> None:
        """Start as the identity at every time: no shift, no scale, gates of 1.

        DiT starts its gates at 0, so that every block passes its input through: small
        networks then learn nothing for hundreds of steps.
        """
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)
        with torch.no_grad():  # parts are shift, scale, gate, and again
            self.bias.view(self.parts, -1)[2::3] = 1.0

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Args: condition (B, width), or (B, L, width) with one for every position.

        Returns:
            `parts` tensors (B, 1, d_model), or (B, L, d_model).
        """
        parts = super().forward(condition)
        if condition.dim() == 2:
            parts = parts[:, None]
        return parts.chunk(self.parts, dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift a normalised stream (B, L, d_model)."""
    return torch.addcmul(shift, x, 1 + scale)

"""The feed-forward half of a transformer block."""

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.runtime.nn.linear import Linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
}


class FeedForward(nn.Module):
    """Two linear layers with an activation between them.

    Args:
        hidden: width in the middle; None is four times the stream.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(self, d_model: int, hidden: int | None, *, activation: str) -> None:
        super().__init__()
        hidden = hidden or 4 * d_model
        self.activation = ACTIVATIONS[activation]
        self.up = Linear(d_model, hidden, bias=False)
        self.out = Linear(hidden, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.activation(self.up(x)))


def gated_width(d_model: int) -> int:
    """The usual width in the middle of a gated layer: 8/3 of the stream, rounded up.

    A multiple of 32; as many parameters as four times the stream without a gate.
    """
    return 32 * math.ceil(8 * d_model / 3 / 32)


class SwiGLU(nn.Module):
    """Gated feed-forward (Shazeer 2020, arXiv:2002.05202), gate and value fused.

    Args:
        hidden: width in the middle; None is `gated_width`.
    """

    def __init__(self, d_model: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or gated_width(d_model)
        self.gate_up = Linear(d_model, 2 * hidden, bias=False)
        self.out = Linear(hidden, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.out(F.silu(gate) * up)

"""Reading the prediction of a position one position earlier."""

import torch
from torch import Tensor

from xlmgen.runtime.nn.positions import select_positions


def previous(x: Tensor, positions: Tensor | None = None) -> Tensor:
    """Hidden states one position before each position; the first's are its own.

    An autoregressive backbone predicts the token that follows. One that is trained on
    to predict masked tokens keeps that habit (Dream, arXiv:2508.15487).

    Args:
        x: (B, L, D).
        positions: (N,) flat positions, row · L + column; None is all of them.

    Returns:
        (B, L, D), or (N, D) with `positions`.
    """
    if positions is None:
        return torch.cat((x[:, :1], x[:, :-1]), dim=1)
    first = positions % x.shape[1] == 0
    return select_positions(x, torch.where(first, positions, positions - 1))

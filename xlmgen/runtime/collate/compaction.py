"""Rows from which tokens are taken out: the others move together, to the left."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Closing"]


class Closing:
    """Which tokens stay, and where each of them goes.

    Shapes: B rows, L positions of the whole row, W of the closed one, K tokens stay.

    Args:
        kept: (B, L) bool.
        front: columns that are left free in front of every row.

    Attributes:
        lengths: (B,) int64, tokens that stay.
        stood_at: (K,) int64, their flat positions in the whole rows, in order.
        attended: (B, W) bool, False on pads; a column in front is no pad.
    """

    def __init__(self, kept: Tensor, front: int = 0) -> None:
        stay = kept.numpy()
        self.lengths = stay.sum(1)
        self.stood_at = np.flatnonzero(stay)
        column = np.arange(int(self.lengths.max()) + front)
        attended = column < (self.lengths + front)[:, None]
        self.attended = torch.from_numpy(attended)
        self._goes_to = attended.copy()
        self._goes_to[:, :front] = False

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, W) bool, or None when every position is attended."""
        return None if self.attended.numpy().all() else self.attended

    def move(self, values: Tensor, fill: int = 0) -> Tensor:
        """From (B, L) to (B, W): what belongs to a token goes with it.

        Args:
            fill: what is in front and on pads.
        """
        return self.place(values.numpy().take(self.stood_at), fill)

    def place(self, values: npt.NDArray[Any], fill: int = 0) -> Tensor:
        """A value for each token that stays, (K,), where the token is now (B, W)."""
        placed = np.full(self.attended.shape, fill, values.dtype)
        placed[self._goes_to] = values
        return torch.from_numpy(placed)

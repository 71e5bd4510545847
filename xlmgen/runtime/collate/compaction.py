"""Compaction: remove tokens from rows and move the others left."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Compaction"]


class Compaction:
    """Compaction of rows: the kept tokens, and their new positions.

    Shapes: B rows, L positions before compaction, W positions after it, K kept tokens.

    Args:
        kept: (B, L) bool.
        front: number of empty columns to leave at the start of every row.

    Attributes:
        lengths: (B,) int64, number of kept tokens.
        stood_at: (K,) int64, their flat positions before compaction, ascending.
        attended: (B, W) bool, False on pads; the empty columns at the start are True.
    """

    def __init__(self, kept: Tensor, front: int = 0) -> None:
        stay = kept.numpy()
        self.lengths = stay.sum(1)
        self.stood_at = np.flatnonzero(stay)
        column = np.arange(int(self.lengths.max()) + front)
        attended = column < (self.lengths + front)[:, None]
        self.attended = torch.from_numpy(attended)
        self._target = attended.copy()
        self._target[:, :front] = False

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, W) bool, or None when every position is attended."""
        return None if self.attended.numpy().all() else self.attended

    def move(self, values: Tensor, fill: int = 0) -> Tensor:
        """Move the values of kept tokens: (B, L) → (B, W)

        Args:
            values: (B, L).
            fill: value of the columns in front and of pads.
        """
        return self.place(values.numpy().take(self.stood_at), fill)

    def place(self, values: npt.NDArray[Any], fill: int = 0) -> Tensor:
        """Write a value for each kept token at its new position: (K,) → (B, W)"""
        placed = np.full(self.attended.shape, fill, values.dtype)
        placed[self._target] = values
        return torch.from_numpy(placed)

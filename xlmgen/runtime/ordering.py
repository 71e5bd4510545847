"""Rows sorted by an order of generation: given tokens first, then the answer.

Every token of such a row predicts the one that comes next, which may be at any position
(XLNet, Yang et al. 2019, arXiv:1906.08237; σ-GPT, Pannatier et al. 2024,
arXiv:2404.09562). Sorted columns are written k, those of the batch i.

Shapes: B rows, L positions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from xlmgen.runtime.collate.layout import Layout
from xlmgen.runtime.nn.rotary import token_positions

__all__ = ["OrderedRows", "sort_prompts", "sort_rows"]


class OrderedRows(NamedTuple):
    """Rows sorted by an order of generation."""

    ids: Tensor  # (B, L) int64
    attended: Tensor  # (B, L) bool, False on pads that are not part of the sequence
    target_mask: Tensor  # (B, L) bool, tokens of the answer
    position_ids: Tensor  # (B, L) int64, position of each token in its sequence
    columns: Tensor  # (B, L) int64, column i of each token in the batch
    documents: Tensor | None = None  # (B, L) int64, number of the document; 0 on pads

    @property
    def num_given(self) -> int:
        """The fewest columns before the first token of the answer, of all rows."""
        return self.ids.shape[1] - int(self.target_mask.sum(1).max())

    def restored(self, x: Tensor) -> Tensor:
        """Move sorted values (B, L) back to the columns of the batch."""
        return torch.empty_like(x).scatter(1, self.columns, x)


def sort_rows(clean: Layout, u: Tensor | None = None) -> OrderedRows:
    """Sort rows for training: given tokens, then the answer, then pads.

    Given tokens stay from left to right. In packed rows every document is sorted by
    itself, and documents keep their order.

    Args:
        clean: rows, padded on the right.
        u: (B, L) draws from [0, 1), by which the tokens of an answer are sorted: a
            uniformly random order. None sorts them from left to right.
    """
    return _sorted(clean, u, pads=2 * clean.ids.shape[1] + 2)


def sort_prompts(
    input_ids: Tensor,
    attention_mask: Tensor | None,
    fillable: Tensor,
    u: Tensor | None = None,
) -> OrderedRows:
    """Sort rows for generation: pads, then given tokens, then positions to fill.

    All rows end at the last column, so that a pass fills one position of every row,
    however many tokens are given.

    Args:
        input_ids: (B, L).
        attention_mask: (B, L) bool, False on pads; None without pads.
        fillable: (B, L) bool, positions to fill.
        u: as in `sort_rows`, for the positions to fill.
    """
    attended = torch.ones_like(fillable) if attention_mask is None else attention_mask
    return _sorted(Layout(input_ids, attended, fillable), u, pads=-1)


def _sorted(rows: Layout, u: Tensor | None, *, pads: int) -> OrderedRows:
    key = rows.target_mask.double()
    if u is not None:
        key = key * (1 + u)
    if rows.documents is not None:
        key = key + 2 * rows.documents
    key = key.masked_fill(~rows.attended, pads)
    columns = key.argsort(dim=1, stable=True)
    mask = rows.attended if rows.documents is None else rows.documents
    return OrderedRows(
        rows.ids.gather(1, columns),
        rows.attended.gather(1, columns),
        rows.target_mask.gather(1, columns),
        token_positions(rows.ids, mask).gather(1, columns),
        columns,
        None if rows.documents is None else rows.documents.gather(1, columns),
    )

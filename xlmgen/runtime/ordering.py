"""Rows sorted by an order of generation: given tokens first, then the answer.

Every token of such a row predicts the one that comes next, which may be at any position
(XLNet, Yang et al. 2019, arXiv:1906.08237; σ-GPT, Pannatier et al. 2024,
arXiv:2404.09562).

Shapes: B rows, L positions.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from xlmgen.runtime.collate.layout import Layout
from xlmgen.runtime.nn.rotary import token_positions

__all__ = ["OrderedRows", "from_the_right", "sort_prompts", "sort_rows"]


class OrderedRows(NamedTuple):
    """Rows sorted by an order of generation.

    Args:
        ids: (B, L) int64.
        target_mask: (B, L) bool, tokens of the answer.
        position_ids: (B, L) int64, position of each token in its sequence.
        columns: (B, L) int64, column of each token in the batch.
        attention_mask: (B, L) bool, False on the pads of a prompt; or int64, the
            documents of packed rows; None where neither is needed.
    """

    ids: Tensor
    target_mask: Tensor
    position_ids: Tensor
    columns: Tensor
    attention_mask: Tensor | None

    @property
    def num_given(self) -> int:
        """The fewest columns before the first token of the answer, of all rows."""
        return self.ids.shape[1] - int(self.target_mask.sum(1).max())

    def mask_until(self, end: int) -> Tensor | None:
        """Return the attention mask of the columns before `end`: (B, end) or None."""
        return None if self.attention_mask is None else self.attention_mask[:, :end]

    def restore(self, x: Tensor) -> Tensor:
        """Move sorted values (B, L) back to the columns of the batch."""
        return torch.empty_like(x).scatter(1, self.columns, x)


def sort_rows(clean: Layout, u: Tensor | None = None) -> OrderedRows:
    """Sort rows for training: given tokens, then the answer, then pads.

    Given tokens stay from left to right. Packed documents keep their order, and each is
    sorted by itself. Pads need no attention mask: no token before them sees them.

    Args:
        clean: rows, padded on the right.
        u: (B, L) or (L,) numbers in [0, 1), by which the tokens of an answer are
            sorted; random draws give a uniformly random order. None sorts them from
            left to right.
    """
    key = _answer_last(clean.target_mask, u)
    if clean.documents is not None:
        key = key + 2 * clean.documents
    columns = key.masked_fill(~clean.attended, torch.inf).argsort(dim=1, stable=True)
    return OrderedRows(
        clean.ids.gather(1, columns),
        clean.target_mask.gather(1, columns),
        _positions(clean.ids, clean.documents).gather(1, columns),
        columns,
        None if clean.documents is None else clean.documents.gather(1, columns),
    )


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
    key = _answer_last(fillable, u)
    if attention_mask is not None:
        key = key.masked_fill(~attention_mask, -torch.inf)
    columns = key.argsort(dim=1, stable=True)
    return OrderedRows(
        input_ids.gather(1, columns),
        fillable.gather(1, columns),
        _positions(input_ids, attention_mask).gather(1, columns),
        columns,
        None if attention_mask is None else attention_mask.gather(1, columns),
    )


def from_the_right(ids: Tensor) -> Tensor:
    """Numbers (L,) that sort the answers of `ids` (B, L) from right to left."""
    length = ids.shape[1]
    return torch.arange(length - 1, -1, -1, device=ids.device) / length


def _answer_last(answer: Tensor, u: Tensor | None) -> Tensor:
    """(B, L) float64 sort keys: 0 for given tokens, [1, 2) for those of the answer."""
    key = answer.double()
    return key if u is None else key * (1 + u)


def _positions(ids: Tensor, mask: Tensor | None) -> Tensor:
    return token_positions(ids, mask).expand_as(ids)

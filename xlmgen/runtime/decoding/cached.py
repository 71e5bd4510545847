"""Decoding state with an approximate cache, for bidirectional networks.

The prefix cache and the dual cache of Fast-dLLM (Wu et al. 2025, arXiv:2505.22618):
while a decoding block is filled, keys and values outside of it are not computed again.
"""

import sys
from typing import Any

import torch
from torch import Tensor

from xlmgen.runtime.decoding.masked import MaskedState
from xlmgen.runtime.nn.head import LanguageModel

__all__ = ["CachedState", "window_columns"]


class CachedState(MaskedState):
    """Masked rows whose forward passes compute a window of every row only.

    The first pass of a block, and every `refresh`-th one after it, computes all
    positions and caches their keys and values. The other passes compute the positions
    of the window, which attend to those of the window as they are now and to all others
    as they were at the last full pass. Tokens outside of the window do not change in a
    block, so the keys and values of the first layer are exact; those of later layers,
    and of a time-conditioned network, are approximate.

    Shapes: B rows, L positions, N selected positions, V vocabulary.

    Args:
        model: as for `MaskedState`, with `new_cache(batch_size, length)`, a
            `ColumnCache`, and called with `cache=…` too.
        input_ids: (B, L), with MASK at positions to fill.
        attention_mask: (B, L) bool or None.
        fillable: (B, L) bool; all other positions are given and do not change.
        mask: id of MASK.
        refresh: number of passes from one full pass to the next; 1 computes all
            positions in every pass, None only in the first pass of a block.
        shifted: whether the network predicts a token one position earlier, which is
            then part of the window.
        trace: whether to record the step at which each token is written.
    """

    def __init__(
        self,
        model: LanguageModel,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        fillable: Tensor,
        mask: int,
        *,
        refresh: int | None,
        shifted: bool = False,
        trace: bool = False,
    ) -> None:
        super().__init__(model, input_ids, attention_mask, fillable, mask, trace=trace)
        self.refresh = refresh or sys.maxsize
        self.shifted = shifted
        self.area = self.window = fillable
        # One for rows with prompts, and one for rows without (guidance).
        self.caches: dict[bool, Any] = {}
        self.ages: dict[bool, Tensor] = {}  # (B,), passes since the last full one

    def cache_before(self, area: Tensor) -> None:
        """Cache all positions before a block (B, L): the prefix cache."""
        self._begin(area, area.cumsum(1) > 0)

    def cache_around(self, area: Tensor) -> None:
        """Cache all positions outside of a block (B, L): the dual cache."""
        self._begin(area, area)

    def _begin(self, area: Tensor, window: Tensor) -> None:
        if self.attention_mask is not None:
            window = window & self.attention_mask
        if self.shifted:
            window = window.clone()
            window[:, :-1] |= window[:, 1:].clone()
        self.area, self.window = area, window
        self.ages.clear()

    def logits(
        self, where: Tensor, t: Tensor | None = None, *, without_prompt: bool = False
    ) -> Tensor:
        """Logits (N, V) at the N true positions of `where` (B, L), in one forward pass.

        If one row of the pass is due for a full pass, all rows of the block that have
        masks take part in it.

        Args:
            where: (B, L) bool, positions of the block.
            t: (B,), for time-conditioned models.
            without_prompt: mask all given tokens, for classifier-free guidance.
        """
        ids = self.ids
        if without_prompt:
            ids = ids.masked_fill(~self.fillable, self.mask)
        if without_prompt not in self.caches:
            model: Any = self.model
            self.caches[without_prompt] = model.new_cache(*ids.shape)
        if without_prompt not in self.ages:
            self.ages[without_prompt] = torch.full_like(ids[:, 0], self.refresh)
        cache, age = self.caches[without_prompt], self.ages[without_prompt]

        rows = where.any(1)
        full = bool((age[rows] >= self.refresh).any())
        if full:
            rows = rows | (self.masked & self.area).any(1)
            age[rows] = 0
        age += 1
        return self._pass(cache, ids, rows.nonzero().squeeze(1), where, t, full=full)

    def _pass(
        self,
        cache: Any,
        ids: Tensor,
        rows: Tensor,
        where: Tensor,
        t: Tensor | None,
        *,
        full: bool,
    ) -> Tensor:
        """Run the network at all columns of the rows (R,), or at their windows."""
        ids, where, columns = ids[rows], where[rows], None
        if not full:
            columns, inside = window_columns(self.window[rows])
            ids, where = ids.gather(1, columns), where.gather(1, columns) & inside
        cache.select(None if len(rows) == len(self.ids) else rows, columns)
        attended = self.attention_mask
        time = {} if t is None else {"t": t[rows].float()}
        self.forward_passes += 1
        hidden = self.model(
            ids,
            None if attended is None else attended[rows],
            positions=where.flatten().nonzero().squeeze(1),
            cache=cache,
            **time,
        )
        logits: Tensor = self.model.head(hidden)
        return logits


def window_columns(window: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of the true positions of every row, as many as the longest row has.

    Args:
        window: (R, L) bool, at least one true position per row.

    Returns:
        columns (R, C) in ascending order, filled up with the first one; and (R, C)
        bool, False where filled up.
    """
    number = window.sum(1, keepdim=True)  # (R, 1)
    order = (~window).byte().argsort(dim=1, stable=True)[:, : int(number.max())]
    inside = torch.arange(order.shape[1], device=window.device) < number
    return torch.where(inside, order, order[:, :1]), inside

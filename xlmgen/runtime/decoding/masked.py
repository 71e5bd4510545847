"""Decoding state of masked generation: rows whose masks are revealed step by step."""

from typing import overload

import torch
from torch import Tensor

from xlmgen.runtime.decoding.fixed_length import FixedLengthState
from xlmgen.runtime.generation import Tracer
from xlmgen.runtime.nn.head import LanguageModel
from xlmgen.runtime.sampling import uniform

__all__ = ["MaskedState", "decoding_blocks", "split_steps"]


class MaskedState(FixedLengthState):
    """Rows of tokens, some of them masked, that a model fills step by step.

    Shapes: B rows, L positions, N selected positions, V vocabulary.

    Args:
        model: called as `model(input_ids, attention_mask, positions=…)`, and with
            `t=…` if it is time-conditioned.
        input_ids: (B, L), with MASK at positions to fill.
        attention_mask: (B, L) bool or None.
        fillable: (B, L) bool; all other positions are given and do not change.
        mask: id of MASK.
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
        trace: bool = False,
    ) -> None:
        super().__init__(model, input_ids, attention_mask, fillable, trace=trace)
        self.masked = fillable & (input_ids == mask)
        self.mask = mask
        self.first_step = 0  # first step of this block, counted over all blocks
        self.next_step = 0

    def begin_block(self) -> None:
        """Start a block, whose steps count from 0; the trace numbers on."""
        self.first_step = self.next_step

    def uniform(self, generator: torch.Generator | None) -> Tensor:
        """(B, L) float64 draws from [0, 1), one for every position."""
        return uniform(self.ids.shape, self.ids.device, generator)

    def time(self, t: Tensor) -> Tensor:
        """Repeat a time for all rows: () → (B,)"""
        return t.to(self.ids.device).expand(len(self.ids))

    def masked_share(self) -> Tensor:
        """(B,) float64, share of fillable positions that are still masked."""
        fillable = self.fillable.sum(1).clamp(min=1)
        return self.masked.sum(1).double() / fillable

    def logits(
        self, where: Tensor, t: Tensor | None = None, *, without_prompt: bool = False
    ) -> Tensor:
        """Logits (N, V) at the N true positions of `where` (B, L), in one forward pass.

        Only rows with a true position take part.

        Args:
            where: (B, L) bool.
            t: (B,), for time-conditioned models.
            without_prompt: mask all given tokens, for classifier-free guidance.
        """
        ids = self.ids
        if without_prompt:
            ids = ids.masked_fill(~self.fillable, self.mask)
        return self.forward(ids, where, t)

    def reveal(self, where: Tensor, tokens: Tensor, step: int) -> None:
        """Write tokens (N,) at the N true positions of `where` (B, L)."""
        self.ids[where] = tokens
        self.masked = self.masked & ~where
        self._written(where, tokens, step)

    def remask(self, where: Tensor, step: int) -> None:
        """Mask the true positions of `where` (B, L) again."""
        where = where & self.fillable
        self.ids = self.ids.masked_fill(where, self.mask)
        self.masked = self.masked | where
        self._written(where, self.ids[where], step)

    def _written(self, where: Tensor, tokens: Tensor, step: int) -> None:
        self.next_step = self.first_step + step + 1
        if self.tracer:
            self._trace(self.tracer, self.next_step - 1, where, tokens)

    def _trace(self, tracer: Tracer, step: int, where: Tensor, tokens: Tensor) -> None:
        tracer.write(step, where, tokens)


def decoding_blocks(fillable: Tensor, size: int) -> list[Tensor]:
    """Split the fillable positions of every row, left to right, into decoding blocks.

    Args:
        fillable: (B, L) bool.
        size: positions per block.

    Returns:
        A (B, L) bool for every block; rows with fewer blocks are False in the last.
    """
    index = torch.where(fillable, (fillable.cumsum(1) - 1) // size, -1)
    return [index == block for block in range(int(index.max()) + 1)]


@overload
def split_steps(steps: int, parts: int) -> list[int]: ...
@overload
def split_steps(steps: int | None, parts: int) -> list[int] | list[None]: ...
def split_steps(steps: int | None, parts: int) -> list[int] | list[None]:
    """Split steps evenly over parts, at least one each; None for each if `steps` is."""
    if steps is None:
        return [None] * parts
    return [max(1, steps // parts + (part < steps % parts)) for part in range(parts)]

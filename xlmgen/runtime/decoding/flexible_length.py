"""Rows that grow while a predictor fills them in, and the forward passes it takes."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.errors import UserError
from xlmgen.runtime.sampling import DIVERGED, Generation, Trace, Tracer, uniform

__all__ = ["GrowingRows"]


class GrowingRows:
    """Rows of tokens into which a model inserts masks, and reveals them.

    Shapes: B rows, L positions (more as rows grow), N chosen positions, V vocabulary.

    Args:
        model: called as `model(input_ids, attention_mask, t=…, at=…)`; returns the
            logits of tokens and what it says of the gap behind every position.
        input_ids: (B, L) what is given; it never changes.
        attention_mask: (B, L) bool or None; pads are on the right.
        free: (B, L) bool, behind which tokens others may be inserted.
        room: (B,) how many tokens may be inserted into each row.
        mask: id of MASK.
        pad: id of PAD.
        trace: whether to record which token was written when. A mask that is inserted
            is written, too; positions are those at the end.
    """

    def __init__(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        free: Tensor,
        room: Tensor,
        *,
        mask: int,
        pad: int,
        trace: bool = False,
    ) -> None:
        self.model = model
        self.ids = input_ids
        self.attended = torch.ones_like(free)
        if attention_mask is not None:
            self.attended = attention_mask
        self.free = free
        self.room = room
        self.generated = torch.zeros_like(free)
        self.mask = mask
        self.pad = pad
        self.forward_passes = 0
        self.tracer = Tracer() if trace else None
        # Every token keeps its number while its position moves: (B, L).
        self.number = torch.arange(free.shape[1], device=free.device).expand_as(free)
        self.next_number = free.shape[1]

    @property
    def masked(self) -> Tensor:
        """(B, L) bool: the masks that were inserted and not revealed yet."""
        return self.generated & (self.ids == self.mask)

    @property
    def unfinished(self) -> Tensor:
        """(B,) bool: rows that can still change."""
        grows = (self.room > 0) & self.free.any(1)
        return grows | self.masked.any(1)

    def uniform(self, generator: torch.Generator | None) -> Tensor:
        """(B, L) float64 draws from [0, 1), one for every position."""
        return uniform(self.ids.shape, self.ids.device, generator)

    def forward(self, where: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """One forward pass at time t; finished rows take no part.

        Args:
            where: (B, L) bool, N true places in unfinished rows.

        Returns:
            the logits (N, V) at these places, and what the model says of the gap behind
            every position, (B, L) or (B, L, …); 0 in finished rows.

        Raises:
            UserError: a gap is NaN or infinite.
        """
        rows = self.unfinished.nonzero().squeeze(1)
        at = where[rows].flatten().nonzero().squeeze(1)
        attended = self.attended[rows]
        times = torch.full((len(rows),), t, device=rows.device)
        self.forward_passes += 1
        logits, said = self.model(
            self.ids[rows],
            None if attended.all() else attended,
            t=times,
            at=at,
        )
        if not said.isfinite().all():
            raise UserError("a gap holds NaN or infinitely many tokens", DIVERGED)
        gaps = said.new_zeros(self.ids.shape + said.shape[2:])
        gaps[rows] = said
        return logits, gaps

    def reveal(self, where: Tensor, tokens: Tensor, step: int) -> None:
        """Write tokens (N,) at the N true places of `where` (B, L)."""
        self.ids = self.ids.masked_scatter(where, tokens)
        self._written(where, step)

    def insert(self, counts: Tensor, step: int) -> None:
        """Insert masks behind the tokens that others may be missing behind.

        Args:
            counts: (B, L) int64, how many behind each; ignored where nothing is free.
                A row that would grow past its room receives the first that fit.
        """
        counts = counts * self.free
        before = counts.cumsum(1) - counts
        counts = torch.minimum(counts, (self.room[:, None] - before).clamp(min=0))
        total = counts.sum(1)  # (B,)
        more = int(total.max())
        if more == 0:
            return
        self.room = self.room - total

        # 1. Every token moves right by what is inserted before it.
        length = self.ids.shape[1]
        columns = torch.arange(length, device=counts.device)
        columns = columns + counts.cumsum(1) - counts  # (B, L)
        lengths = self.attended.sum(1, keepdim=True) + total[:, None]  # (B, 1)
        width = int(lengths.max())

        def moved(values: Tensor, filling: int) -> Tensor:
            """(B, L) → (B, width), `filling` where nothing came to."""
            wide = F.pad(torch.full_like(values, filling), (0, more), value=filling)
            return wide.scatter(1, columns, values)[:, :width]

        # 2. What they leave free within a row are the new masks.
        old = moved(torch.ones_like(self.attended), 0)
        self.attended = torch.arange(width, device=counts.device) < lengths
        new = self.attended & ~old
        self.ids = moved(self.ids, self.pad).masked_fill(new, self.mask)
        self.free = moved(self.free, 0) | new
        self.generated = moved(self.generated, 0) | new
        numbers = self.next_number + new.cumsum(1) - 1
        self.number = torch.where(new, numbers, moved(self.number, 0))
        self.next_number += more
        self._written(new, step)

    def _written(self, where: Tensor, step: int) -> None:
        if self.tracer:
            row, _ = where.nonzero(as_tuple=True)
            self.tracer.write_at(step, row, self.number[where], self.ids[where])

    def generation(self) -> Generation:
        """What was generated; rows are as long as the longest, padded on the right."""
        return Generation(
            ids=self.ids,
            generated=self.generated,
            forward_passes=self.forward_passes,
            trace=self._trace() if self.tracer else None,
        )

    def _trace(self) -> Trace:
        """The trace with the positions that the tokens have come to."""
        assert self.tracer is not None
        trace = self.tracer.trace()
        row, column = self.attended.nonzero(as_tuple=True)
        places = self.ids.new_zeros(len(self.ids), self.next_number)
        places[row, self.number[row, column]] = column
        return replace(trace, position=places.cpu()[trace.row, trace.position])

"""Decoding state of flexible-length generation: masks are inserted and revealed."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.generation import Generation, Trace, Tracer
from xlmgen.runtime.nn.head import LanguageModel
from xlmgen.runtime.sampling import DIVERGED, uniform

__all__ = ["FlexibleLengthState"]


class FlexibleLengthState:
    """Rows into which a model inserts masks, and whose masks it reveals.

    Shapes: B rows, L positions (more as rows grow), N selected positions, V vocabulary.

    Args:
        model: called as `model(input_ids, attention_mask, t=…, positions=…)`; returns
            the hidden states and the gap output of every position.
        input_ids: (B, L) given tokens, which do not change.
        attention_mask: (B, L) bool or None; pads are on the right.
        free: (B, L) bool, tokens after which others may be inserted.
        room: (B,) the most tokens that may be inserted into each row.
        mask: id of MASK.
        pad: id of PAD.
        trace: whether to record the step at which each token is written, inserted masks
            included; positions are the final ones.
    """

    def __init__(
        self,
        model: LanguageModel,
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
        # (B, L) An identity of every token that survives moves, for the trace.
        self.number = torch.arange(free.shape[1], device=free.device).expand_as(free)
        self.next_number = free.shape[1]

    @property
    def masked(self) -> Tensor:
        """(B, L) bool, inserted masks that are not revealed yet."""
        return self.generated & (self.ids == self.mask)

    @property
    def unfinished(self) -> Tensor:
        """(B,) bool, rows that can still change."""
        grows = (self.room > 0) & self.free.any(1)
        return grows | self.masked.any(1)

    def uniform(self, generator: torch.Generator | None) -> Tensor:
        """(B, L) float64 draws from [0, 1), one for every position."""
        return uniform(self.ids.shape, self.ids.device, generator)

    def forward(self, where: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """One forward pass at time t over the unfinished rows.

        Args:
            where: (B, L) bool, with N true positions in unfinished rows.
            t: time of all rows.

        Returns:
            The logits (N, V) at these positions, and the gap output of every position,
            (B, L) or (B, L, …); 0 in finished rows.

        Raises:
            UserError: a gap output is NaN or infinite.
        """
        rows = self.unfinished.nonzero().squeeze(1)
        positions = where[rows].flatten().nonzero().squeeze(1)
        attended = self.attended[rows]
        times = torch.full((len(rows),), t, device=rows.device)
        self.forward_passes += 1
        hidden, output = self.model(
            self.ids[rows],
            None if attended.all() else attended,
            t=times,
            positions=positions,
        )
        if not output.isfinite().all():
            raise UserError(
                "the predicted length of a gap is NaN or infinite", DIVERGED
            )
        gaps = output.new_zeros(self.ids.shape + output.shape[2:])
        gaps[rows] = output
        return self.model.head(hidden), gaps

    def reveal(self, where: Tensor, tokens: Tensor, step: int) -> None:
        """Write tokens (N,) at the N true positions of `where` (B, L)."""
        self.ids = self.ids.masked_scatter(where, tokens)
        self._written(where, step)

    def insert(self, counts: Tensor, step: int) -> None:
        """Insert masks after tokens.

        Args:
            counts: (B, L) int64, number of masks after each token; ignored where `free`
                is False. A row without room for all gets the first ones.
            step: the current step, for the trace.
        """
        counts = counts * self.free
        before = counts.cumsum(1) - counts
        counts = torch.minimum(counts, (self.room[:, None] - before).clamp(min=0))
        total = counts.sum(1)  # (B,)
        more = int(total.max())
        if more == 0:
            return
        self.room = self.room - total

        # 1. Every token moves right by the number of masks inserted before it.
        length = self.ids.shape[1]
        columns = torch.arange(length, device=counts.device)
        columns = columns + counts.cumsum(1) - counts  # (B, L)
        lengths = self.attended.sum(1, keepdim=True) + total[:, None]  # (B, 1)
        width = int(lengths.max())

        def moved(values: Tensor, filling: int) -> Tensor:
            """Move values: (B, L) → (B, width), with `filling` at new positions."""
            wide = F.pad(torch.full_like(values, filling), (0, more), value=filling)
            return wide.scatter(1, columns, values)[:, :width]

        # 2. Positions of a row without an old token are the new masks.
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
        """The generated rows, padded on the right to the longest."""
        return Generation(
            ids=self.ids,
            generated=self.generated,
            forward_passes=self.forward_passes,
            trace=self._trace() if self.tracer else None,
        )

    def _trace(self) -> Trace:
        """The trace with final positions of the tokens."""
        assert self.tracer is not None
        trace = self.tracer.trace()
        row, column = self.attended.nonzero(as_tuple=True)
        final = self.ids.new_zeros(len(self.ids), self.next_number)
        final[row, self.number[row, column]] = column
        return replace(trace, position=final.cpu()[trace.row, trace.position])

"""The rows that a predictor fills in block by block, behind a key–value cache."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.errors import UserError
from xlmgen.runtime.decoding.masked import Canvas
from xlmgen.runtime.sampling import Generation, Tracer
from xlmgen.runtime.special_tokens import SpecialTokens

__all__ = ["BlockCanvas", "BlockRows"]


class BlockCanvas(Canvas):
    """One block of every row that goes on; the model reads what is before from a cache.

    Shapes: B rows, L positions of the block, N chosen positions, V vocabulary.

    Args:
        rows: the rows that the block is of.
        start: its first column.
        stop: the column behind it.
    """

    def __init__(self, rows: "BlockRows", start: int, stop: int) -> None:
        here = (rows.active, slice(start, stop))
        super().__init__(
            rows.model,
            rows.ids[here],
            rows.attended(stop),
            rows.fillable[here],
            rows.tokens.mask,
        )
        self.tracer, self.first_step = rows.tracer, rows.next_step
        self.next_step = self.first_step
        self.rows, self.start, self.cache = rows.active, start, rows.cache

    def logits(
        self, where: Tensor, t: Tensor | None = None, *, without_prompt: bool = False
    ) -> Tensor:
        """Logits (N, V) at the N true places of `where` (B, L), in one forward pass.

        Every row takes part: the cache is of all of them.
        """
        self.forward_passes += 1
        at = where.flatten().nonzero().squeeze(1)
        time = {} if t is None else {"t": t.float()}
        return self.model(
            self.ids, self.attention_mask, at=at, cache=self.cache, **time
        )

    def _trace(self, tracer: Tracer, step: int, where: Tensor, tokens: Tensor) -> None:
        row, column = where.nonzero(as_tuple=True)
        tracer.write_at(step, self.rows[row], self.start + column, tokens)


class BlockRows:
    """Rows that end with the block in which EOS is generated.

    A finished block is read once more, now that it is without MASK, and its keys and
    values are kept. Rows that have ended leave the batch and the cache.

    Args:
        model: called as `model(input_ids, attention_mask, at=…, cache=…)`, and with
            `t=…` where it has a time input.
        batch: `input_ids` (B, L) with MASK where a token is to be found,
            `attention_mask` (B, L) bool or None, `fillable` (B, L) bool, `context` and
            `block_size`.
        tokens: ids of the special tokens.
        max_length: positions behind the context; None is as many as the batch has.
        timed: whether the model has a time input; what is finished is read at time 0.
        trace: whether to record which token was written when.

    Raises:
        UserError: `max_length` would cut off tokens that are given.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Mapping[str, Any],
        tokens: SpecialTokens,
        *,
        max_length: int | None = None,
        timed: bool = False,
        trace: bool = False,
    ) -> None:
        self.model, self.tokens, self.timed = model, tokens, timed
        self.context, self.block_size = batch["context"], batch["block_size"]
        rows, length = batch["input_ids"].shape
        more = 0 if max_length is None else self.context + max_length - length
        if not batch["fillable"][:, length + min(more, 0) :].all():
            raise UserError(
                f"max_length {max_length} would cut off tokens that an answer begins "
                "with",
                "raise predictor.max_length, or give fewer tokens",
            )
        room = (0, more)  # a negative number of positions is cut off
        self.ids = F.pad(batch["input_ids"], room, value=tokens.mask)
        self.fillable = F.pad(batch["fillable"], room, value=True)
        self.attention_mask = batch["attention_mask"]
        if self.attention_mask is not None:
            self.attention_mask = F.pad(self.attention_mask, room, value=True)
        self.generated = torch.zeros_like(self.fillable)
        self.active = torch.arange(rows, device=self.ids.device)  # rows that go on
        new_cache: Any = model.new_cache
        self.cache = new_cache(rows, length + more)
        self.tracer = Tracer() if trace else None
        self.next_step = 0
        self.forward_passes = 0

    def blocks(self) -> Iterator[BlockCanvas]:
        """A canvas for each block, to be filled before the next is asked for."""
        length = self.ids.shape[1]
        self._read(0, self.context)
        for start in range(self.context, length, self.block_size):
            stop = min(start + self.block_size, length)
            canvas = BlockCanvas(self, start, stop)
            yield canvas
            self._write(canvas, start, stop)
            ended = canvas.fillable & (canvas.ids == self.tokens.eos)
            going = (~ended.any(1)).nonzero().squeeze(1)
            if len(going) == 0 or stop == length:
                return
            if len(going) < len(self.active):
                self.cache.keep(going)
                self.active = self.active[going]
            self._read(start, stop)

    def attended(self, stop: int) -> Tensor | None:
        """The attention mask (B, stop) of the rows that go on, or None."""
        if self.attention_mask is None:
            return None
        return self.attention_mask[self.active, :stop]

    def _write(self, canvas: BlockCanvas, start: int, stop: int) -> None:
        self.ids[self.active, start:stop] = canvas.ids
        self.generated[self.active, start:stop] = canvas.fillable
        self.forward_passes += canvas.forward_passes
        self.next_step = canvas.next_step

    def _read(self, start: int, stop: int) -> None:
        """Take columns without noise into the cache; no position needs the head."""
        ids = self.ids[self.active, start:stop]
        time = {"t": ids.new_zeros(len(ids)).float()} if self.timed else {}
        nowhere = ids.new_empty(0)
        self.model(ids, self.attended(stop), at=nowhere, cache=self.cache, **time)
        self.cache.advance(stop - start)
        self.forward_passes += 1

    def generation(self) -> Generation:
        """The rows; PAD where one had ended."""
        return Generation(
            ids=self.ids.masked_fill(self.fillable & ~self.generated, self.tokens.pad),
            generated=self.generated,
            forward_passes=self.forward_passes,
            trace=self.tracer.trace() if self.tracer else None,
        )

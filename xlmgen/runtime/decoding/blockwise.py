"""Decoding state of block-by-block generation with a key–value cache."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.decoding.masked import MaskedState
from xlmgen.runtime.generation import Generation, Tracer
from xlmgen.runtime.nn.head import LanguageModel
from xlmgen.runtime.special_tokens import SpecialTokens

__all__ = ["BlockState", "BlockwiseState"]


class BlockState(MaskedState):
    """The current block of every active row; the cache has all previous blocks.

    Shapes: B rows, L positions of the block, N selected positions, V vocabulary.

    Args:
        rows: the rows of the block.
        start: first column of the block.
        stop: column after the block.
    """

    def __init__(self, rows: "BlockwiseState", start: int, stop: int) -> None:
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
        """Logits (N, V) at the N true positions of `where` (B, L), in one forward pass.

        All active rows take part, since they share the cache.
        """
        self.forward_passes += 1
        positions = where.flatten().nonzero().squeeze(1)
        time = {} if t is None else {"t": t.float()}
        hidden = self.model(
            self.ids, self.attention_mask, positions=positions, cache=self.cache, **time
        )
        logits: Tensor = self.model.head(hidden)
        return logits

    def _trace(self, tracer: Tracer, step: int, where: Tensor, tokens: Tensor) -> None:
        row, column = where.nonzero(as_tuple=True)
        tracer.write_at(step, self.rows[row], self.start + column, tokens)


class BlockwiseState:
    """Rows that end after the block in which EOS is generated.

    A finished block, without MASK, takes one more forward pass, which caches its keys
    and values. Rows that have ended leave the batch and the cache.

    Args:
        model: called as `model(input_ids, attention_mask, positions=…, cache=…)`, and
            with `t=…` where it has a time input.
        batch: `input_ids` (B, L) with MASK at positions to fill, `attention_mask`
            (B, L) bool or None, `fillable` (B, L) bool, `context` and `block_size`.
        tokens: ids of the special tokens.
        max_length: number of positions after the context; None for that of the batch.
        timed: whether the model is time-conditioned; finished blocks have time 0.
        trace: whether to record the step at which each token is written.

    Raises:
        UserError: `max_length` would cut off given tokens.
    """

    def __init__(
        self,
        model: LanguageModel,
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
                f"max_length {max_length} would cut off given tokens of an answer",
                "raise predictor.max_length, or give fewer tokens",
            )
        padding = (0, more)  # a negative number cuts positions off
        self.ids = F.pad(batch["input_ids"], padding, value=tokens.mask)
        self.fillable = F.pad(batch["fillable"], padding, value=True)
        self.attention_mask = batch["attention_mask"]
        if self.attention_mask is not None:
            self.attention_mask = F.pad(self.attention_mask, padding, value=True)
        self.generated = torch.zeros_like(self.fillable)
        # rows that have not ended
        self.active = torch.arange(rows, device=self.ids.device)
        cached: Any = model
        self.cache = cached.new_cache(rows, length + more)
        self.tracer = Tracer() if trace else None
        self.next_step = 0
        self.forward_passes = 0

    def blocks(self) -> Iterator[BlockState]:
        """Iterate over the blocks; fill each one before advancing to the next."""
        length = self.ids.shape[1]
        self._read(0, self.context)
        for start in range(self.context, length, self.block_size):
            stop = min(start + self.block_size, length)
            state = BlockState(self, start, stop)
            yield state
            self._write(state, start, stop)
            ended = state.fillable & (state.ids == self.tokens.eos)
            remaining = (~ended.any(1)).nonzero().squeeze(1)
            if len(remaining) == 0 or stop == length:
                return
            if len(remaining) < len(self.active):
                self.cache.keep(remaining)
                self.active = self.active[remaining]
            self._read(start, stop)

    def attended(self, stop: int) -> Tensor | None:
        """Attention mask (B, stop) of the active rows, or None."""
        if self.attention_mask is None:
            return None
        return self.attention_mask[self.active, :stop]

    def _write(self, state: BlockState, start: int, stop: int) -> None:
        self.ids[self.active, start:stop] = state.ids
        self.generated[self.active, start:stop] = state.fillable
        self.forward_passes += state.forward_passes
        self.next_step = state.next_step

    def _read(self, start: int, stop: int) -> None:
        """Add clean columns to the cache; no hidden state is needed."""
        ids = self.ids[self.active, start:stop]
        time = {"t": ids.new_zeros(len(ids)).float()} if self.timed else {}
        no_positions = ids.new_empty(0)
        self.model(
            ids, self.attended(stop), positions=no_positions, cache=self.cache, **time
        )
        self.cache.advance(stop - start)
        self.forward_passes += 1

    def generation(self) -> Generation:
        """The generated rows, with PAD after the last block of each."""
        return Generation(
            ids=self.ids.masked_fill(self.fillable & ~self.generated, self.tokens.pad),
            generated=self.generated,
            forward_passes=self.forward_passes,
            trace=self.tracer.trace() if self.tracer else None,
        )

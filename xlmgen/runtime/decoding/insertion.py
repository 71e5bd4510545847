"""Decoding state of insertion, and samplers of a slot and a token.

Shapes: B rows, A active rows, L tokens in memory, K slots, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xlmgen.runtime.nn.logits import log_partition
from xlmgen.runtime.nn.rotary import token_positions
from xlmgen.runtime.sampling import (
    Generation,
    TokenSampler,
    Trace,
    categorical,
    check_rows,
    exclude,
    keep_top_k,
    keep_top_p,
    temper,
    wide,
)


@dataclass(frozen=True)
class PairSampler:
    """Sampler of a slot and a token as one pair for every row.

    Args:
        never: ids that are not generated.
        temperature: divides the logits; 0 takes the most likely pair.
        top_k: draw from the k most likely pairs only.
        top_p: draw from the smallest set of pairs whose mass reaches p.
    """

    never: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __call__(
        self, logits: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Args: logits (A, K, V), −∞ for a missing slot. Returns: slot, token (A,)

        Raises:
            UserError: a row is NaN or excludes every pair.
        """
        if self.temperature == 0:
            largest, best = exclude(logits, self.never).flatten(1).max(-1)
            check_rows(largest)
            return best // logits.shape[-1], best % logits.shape[-1]
        if (self.temperature, self.top_k, self.top_p) != (1, None, None):
            logits = self._kept(logits)
        # Drawing the slot, then the token in it, is the same as drawing their pair.
        slot = categorical(log_partition(logits, self.never), generator)
        return slot, categorical(exclude(at_slot(logits, slot), self.never), generator)

    def _kept(self, logits: Tensor) -> Tensor:
        """Tempered logits, −∞ for all but the best pairs. (A, K, V) → (A, K, V)"""
        pairs = exclude(wide(logits), self.never).flatten(1)
        if self.temperature != 1:
            pairs = temper(pairs, self.temperature)
        if self.top_k is not None:
            pairs = keep_top_k(pairs, self.top_k)
        if self.top_p is not None:
            pairs = keep_top_p(pairs, self.top_p)
        return pairs.view_as(logits)


@dataclass(frozen=True)
class SlotFirstSampler:
    """Sampler of a slot by its total mass, then of a token in that slot.

    Args:
        slots: sampler of the slot.
        tokens: sampler of the token; ids that it excludes do not count in the mass.
    """

    slots: TokenSampler
    tokens: TokenSampler

    def __call__(
        self, logits: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Args: logits (A, K, V), −∞ for a missing slot. Returns: slot, token (A,)"""
        mass = log_partition(logits, self.tokens.never)  # (A, K)
        slot = self.slots(mass, generator)
        return slot, self.tokens(at_slot(logits, slot), generator)


def at_slot(logits: Tensor, slot: Tensor) -> Tensor:
    """Logits (A, K, V) at one slot (A,) of every row: (A, V)"""
    return logits[torch.arange(len(slot), device=slot.device), slot]


class InsertionRows:
    """Rows into which one token is inserted at every step until they are complete.

    Tokens are stored in the order of insertion, after the given ones, with their
    positions in a separate tensor. So no token moves until the end.

    Args:
        model: called as `model(input_ids, attention_mask, positions=…, at=…)`; returns
            the logits of tokens and of the decision to stop.
        input_ids: (B, P) given tokens, CLS first.
        attention_mask: (B, P) bool or None.
        slots: (B, P) bool, tokens after which one may be inserted.
        room: (B,) the most tokens to insert into each row.
        limit: the most tokens to insert into any row; None for `room` alone.
        pad: id of PAD.
        trace: whether to record the step at which each token is inserted.
    """

    def __init__(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        slots: Tensor,
        room: Tensor,
        *,
        limit: int | None,
        pad: int,
        trace: bool = False,
    ) -> None:
        self.model = model
        self.given = input_ids.shape[1]
        self.room = room.masked_fill(~slots.any(1), 0).clamp(0, limit)
        self.trace = trace
        most = int(self.room.max())
        rows, device = len(input_ids), input_ids.device
        new = torch.arange(self.given, self.given + most, device=device)
        new = new.expand(rows, -1)

        self.ids = torch.cat((input_ids, torch.full_like(new, pad)), dim=1)
        positions = token_positions(input_ids, attention_mask).expand(rows, -1)
        self.positions = torch.cat((positions, torch.zeros_like(new)), dim=1)
        self.attended = None
        if attention_mask is not None:
            seen = torch.ones_like(new, dtype=torch.bool)
            self.attended = torch.cat((attention_mask, seen), dim=1)
        # Memory positions of the slots: some given tokens, then every inserted one.
        self.first_slots = int(slots.sum(1).max())
        old = slots.long().argsort(dim=1, descending=True, stable=True)
        old = old[:, : self.first_slots]
        self.slot_place = torch.cat((old, new), dim=1)
        self.missing_slot = torch.cat((~slots.gather(1, old), new < 0), dim=1)

        self.active = (self.room > 0).nonzero().squeeze(1)  # (A,)
        self.inserted = torch.zeros_like(self.room)
        self.step = 0
        self.forward_passes = 0

    def forward(self) -> tuple[Tensor, Tensor]:
        """One forward pass over the active rows.

        Returns:
            Logits of every token in every slot (A, K, V), −∞ for missing slots; and
            logits of continuing and stopping (A, 2).
        """
        rows = self.active
        length, slots = self.given + self.step, self.first_slots + self.step
        start = torch.arange(len(rows), device=rows.device)[:, None] * length
        logits, stop = self.model(
            self.ids[rows, :length],
            None if self.attended is None else self.attended[rows, :length],
            positions=self.positions[rows, :length],
            at=(start + self.slot_place[rows, :slots]).flatten(),
        )
        self.forward_passes += 1
        logits = logits.unflatten(0, (len(rows), slots))
        missing = self.missing_slot[rows, :slots, None]
        if missing.any():
            logits = logits.masked_fill(missing, -torch.inf)
        return logits, stop

    def finish(self, complete: Tensor, logits: Tensor) -> Tensor:
        """Remove the complete rows (A,) from the batch.

        Returns:
            The logits of the other rows.
        """
        if complete.any():
            self.active, logits = self.active[~complete], logits[~complete]
        return logits

    def insert(self, slot: Tensor, token: Tensor) -> None:
        """Insert a token (A,) at a slot (A,) of each row; full rows leave the batch."""
        rows, new = self.active, self.given + self.step
        left = self.positions[rows, self.slot_place[rows, slot]]  # (A,)
        self.positions[rows] += self.positions[rows] > left[:, None]
        self.positions[rows, new] = left + 1
        self.ids[rows, new] = token
        self.step += 1
        self.inserted[rows] = self.step
        self.active = rows[self.room[rows] > self.step]

    def generation(self) -> Generation:
        """The rows in reading order, padded on the right."""
        column = torch.arange(self.ids.shape[1], device=self.ids.device)
        new = column >= self.given
        used = column < self.given + self.inserted[:, None]
        if self.attended is not None:
            used &= self.attended
        order = self.positions.masked_fill(~used, len(column)).argsort(
            dim=1, stable=True
        )
        return Generation(
            ids=self.ids.gather(1, order),
            generated=(used & new).gather(1, order),
            forward_passes=self.forward_passes,
            trace=self._trace(used & new) if self.trace else None,
        )

    def _trace(self, inserted: Tensor) -> Trace:
        column, row = inserted.T.nonzero(as_tuple=True)
        events = (
            column - self.given,
            row,
            self.positions[row, column],
            self.ids[row, column],
        )
        return Trace(*(event.cpu() for event in events))

"""Decoding state of insertion, and samplers of a slot and a token.

Shapes: B rows, A active rows, L tokens in memory, K slots, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xlmgen.runtime.generation import Generation, Trace
from xlmgen.runtime.nn.cross_entropy import linear_logsumexp
from xlmgen.runtime.nn.head import LanguageModel
from xlmgen.runtime.nn.rotary import token_positions
from xlmgen.runtime.sampling import (
    TokenSampler,
    categorical,
    check_rows,
    exclude,
    keep_top_k,
    keep_top_p,
    temper,
    wide,
)

__all__ = ["InsertionState", "PairSampler", "SlotFirstSampler"]


@dataclass(frozen=True)
class PairSampler:
    """Sampler of a slot and a token as one pair for every row.

    Args:
        suppress_tokens: ids that are not generated.
        temperature: divides the logits; 0 takes the most likely pair.
        top_k: draw from the k most likely pairs only.
        top_p: draw from the smallest set of pairs whose mass reaches p.
    """

    suppress_tokens: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __call__(
        self,
        hidden: Tensor,
        head: nn.Linear,
        missing: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw a pair for every row.

        Args:
            hidden: (A, K, D), hidden states of the slots.
            head: makes logits of them.
            missing: (A, K) bool, slots that a row has not got.

        Returns:
            slot and token (A,)

        Raises:
            UserError: a row is NaN or excludes every pair.
        """
        if (self.temperature, self.top_k, self.top_p) != (1, None, None):
            return self._draw_shaped(head(hidden), missing, generator)
        # Drawing the slot, then the token in it, is the same as drawing their pair.
        mass = slot_mass(hidden, head, missing, self.suppress_tokens)  # (A, K)
        slot = categorical(mass, generator)
        logits = head(at_slot(hidden, slot))  # (A, V)
        return slot, categorical(exclude(logits, self.suppress_tokens), generator)

    def _draw_shaped(
        self, logits: Tensor, missing: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Draw from the pairs that are kept, tempered: all logits (A, K, V) at once."""
        vocab = logits.shape[-1]
        pairs = exclude(wide(logits), self.suppress_tokens)
        pairs = pairs.masked_fill_(missing[..., None], -torch.inf).flatten(1)
        if self.temperature == 0:
            largest, best = pairs.max(-1)
            check_rows(largest)
            return best // vocab, best % vocab
        if self.temperature != 1:
            pairs = temper(pairs, self.temperature)
        if self.top_k is not None:
            pairs = keep_top_k(pairs, self.top_k)
        if self.top_p is not None:
            pairs = keep_top_p(pairs, self.top_p)
        pair = categorical(pairs, generator)
        return pair // vocab, pair % vocab


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
        self,
        hidden: Tensor,
        head: nn.Linear,
        missing: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw a slot and a token for every row; see `PairSampler`."""
        mass = slot_mass(hidden, head, missing, self.tokens.suppress_tokens)  # (A, K)
        slot = self.slots(mass, generator)
        return slot, self.tokens(head(at_slot(hidden, slot)), generator)


def slot_mass(
    hidden: Tensor, head: nn.Linear, missing: Tensor, suppress_tokens: tuple[int, ...]
) -> Tensor:
    """Log of the mass of every slot over all tokens, −∞ for a missing one. (A, K)"""
    mass = linear_logsumexp(hidden, head, suppress_tokens=suppress_tokens)
    return mass.masked_fill(missing, -torch.inf)


def at_slot(hidden: Tensor, slot: Tensor) -> Tensor:
    """Hidden states (A, K, D) of one slot (A,) of every row: (A, D)"""
    return hidden[torch.arange(len(slot), device=slot.device), slot]


class InsertionState:
    """Rows into which one token is inserted at every step until they are complete.

    Tokens are stored in the order of insertion, after the given ones, with their
    positions in a separate tensor. So no token moves until the end.

    Args:
        model: called as `model(input_ids, attention_mask, position_ids=…,
            positions=…)`; returns hidden states, and the logits of the decision to
            stop.
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
        model: LanguageModel,
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
        position_ids = token_positions(input_ids, attention_mask).expand(rows, -1)
        self.position_ids = torch.cat((position_ids, torch.zeros_like(new)), dim=1)
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
            Hidden states of the slots (A, K, D); and logits of continuing and stopping
            (A, 2).
        """
        rows = self.active
        length, slots = self.given + self.step, self.first_slots + self.step
        start = torch.arange(len(rows), device=rows.device)[:, None] * length
        hidden, stop = self.model(
            self.ids[rows, :length],
            None if self.attended is None else self.attended[rows, :length],
            position_ids=self.position_ids[rows, :length],
            positions=(start + self.slot_place[rows, :slots]).flatten(),
        )
        self.forward_passes += 1
        return hidden.unflatten(0, (len(rows), slots)), stop

    @property
    def missing(self) -> Tensor:
        """(A, K) bool: slots that an active row does not have."""
        return self.missing_slot[self.active, : self.first_slots + self.step]

    def finish(self, complete: Tensor, hidden: Tensor) -> Tensor:
        """Remove the complete rows (A,) from the batch.

        Returns:
            The hidden states of the other rows.
        """
        if complete.any():
            self.active, hidden = self.active[~complete], hidden[~complete]
        return hidden

    def insert(self, slot: Tensor, token: Tensor) -> None:
        """Insert a token (A,) at a slot (A,) of each row; full rows leave the batch."""
        rows, new = self.active, self.given + self.step
        left = self.position_ids[rows, self.slot_place[rows, slot]]  # (A,)
        self.position_ids[rows] += self.position_ids[rows] > left[:, None]
        self.position_ids[rows, new] = left + 1
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
        order = self.position_ids.masked_fill(~used, len(column)).argsort(
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
            self.position_ids[row, column],
            self.ids[row, column],
        )
        return Trace(*(event.cpu() for event in events))

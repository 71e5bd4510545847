"""Oracle models that return a toy's true conditional distributions.

An oracle has the interface of a family's network. Its hidden states are the
log-probabilities of every token given the visible tokens, and its head is the identity.
The expectation of a loss and the distribution of samples are then known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.testing.toy import Toy

IMPOSSIBLE = -30.0
"""Logit of a token of probability 0; finite, as the logits of networks are."""

UNSEEN = -2
"""Id at columns of a cache that no call has filled; no row of a toy has it."""

DISTRACTING = 2.0
"""Logit of a token that must be excluded; all others are at most 0."""


class Oracle(nn.Module):
    """Base of the oracles: records calls and selects positions.

    Args:
        toy: the distribution.
        vocab_size: V.
        distractors: ids of probability 0 with a high logit, so that a loss or predictor
            that fails to exclude them fails its tests.
    """

    def __init__(
        self, toy: Toy, vocab_size: int, distractors: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.toy = toy
        self.vocab_size = vocab_size
        self.head = identity_head(vocab_size)
        self.distractors = list(distractors)
        self.calls = 0
        self.shapes: list[torch.Size] = []
        self.times: list[Tensor] = []
        self.grad_enabled = False

    def record(self, input_ids: Tensor, t: Tensor | None = None) -> None:
        """Record a call: its input and its times (B,)."""
        self.calls += 1
        self.shapes.append(input_ids.shape)
        self.grad_enabled |= torch.is_grad_enabled()
        if t is not None:
            self.times.append(t)

    def logits(self, probs: Tensor, positions: Tensor | None) -> Tensor:
        """Convert unnormalised probabilities (B, L, V) to float32 logits."""
        total = probs.sum(-1, keepdim=True)
        logits = (probs / total).log().nan_to_num(IMPOSSIBLE, neginf=IMPOSSIBLE)
        logits[..., self.distractors] = DISTRACTING
        logits = logits.clamp(min=IMPOSSIBLE).float()
        return logits if positions is None else logits.flatten(0, 1)[positions]


@dataclass
class SeenColumns:
    """Cache of an oracle: the token that was last seen at every column.

    As exact as the tokens: a network's first layer knows no more of cached columns.
    """

    ids: Tensor
    rows: Tensor | None = None
    columns: Tensor | None = None

    def select(self, rows: Tensor | None, columns: Tensor | None) -> None:
        """Select rows (R,) and columns (R, C) of the following calls; None is all."""
        self.rows, self.columns = rows, columns

    def update(self, ids: Tensor) -> Tensor:
        """Take in the tokens (R, C) of a call; return those of all columns (R, L)."""
        rows = torch.arange(len(self.ids)) if self.rows is None else self.rows
        columns = self.columns
        if columns is None:
            columns = torch.arange(self.ids.shape[1]).expand(len(rows), -1)
        self.ids[rows[:, None], columns] = ids
        return self.ids[rows]

    def at_columns(self, x: Tensor) -> Tensor:
        """Values (R, L, V) at the columns of a call: (R, C, V)"""
        if self.columns is None:
            return x
        return x.take_along_dim(self.columns[..., None], dim=1)


class MaskedOracle(Oracle):
    """p(x_i | visible tokens and length of the row), for masked families."""

    def __init__(
        self,
        toy: Toy,
        vocab_size: int,
        mask: int,
        distractors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(toy, vocab_size, distractors)
        self.mask = mask

    def new_cache(self, batch_size: int, max_length: int) -> SeenColumns:
        return SeenColumns(torch.full((batch_size, max_length), UNSEEN))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        t: Tensor | None = None,
        cache: SeenColumns | None = None,
    ) -> Tensor:
        self.record(input_ids, t)
        if cache is not None:
            input_ids = cache.update(input_ids)
        attended = attention_mask
        if attended is None:
            attended = torch.ones(input_ids.shape, dtype=torch.bool)
        rows = widened(self.toy.rows, input_ids.shape[1])
        free = (input_ids == self.mask) | ~attended
        fits = (free[:, None] | (input_ids[:, None] == rows)).all(-1)  # (B, S)
        fits &= attended.sum(1)[:, None] == self.toy.lengths
        weights = fits * self.toy.probs
        tokens = F.one_hot(rows.clamp(min=0), self.vocab_size).double()  # (S, L, V)
        probs = torch.einsum("bs,slv->blv", weights, tokens)
        return self.logits(
            probs if cache is None else cache.at_columns(probs), positions
        )


@dataclass
class PrefixCache:
    """Cache of a causal oracle: the tokens."""

    ids: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def length(self) -> int:
        return self.ids.shape[-1]

    def append(self, ids: Tensor) -> Tensor:
        """Append tokens (B, L) and return all (B, past + L)."""
        self.ids = torch.cat((self.ids, ids), dim=1) if self.length else ids
        return self.ids

    def advance(self, length: int) -> None:
        """Do nothing: appended tokens count already."""

    def keep(self, rows: Tensor) -> None:
        self.ids = self.ids[rows]


class CausalOracle(Oracle):
    """p(x_{i+1} | x_1 … x_i), for causal families; ignores pads on the left."""

    def new_cache(self, batch_size: int, max_length: int) -> PrefixCache:
        return PrefixCache()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        cache: PrefixCache | None = None,
    ) -> Tensor:
        self.record(input_ids)
        ids = input_ids if cache is None else cache.append(input_ids)
        attended = attention_mask
        if attended is None:
            attended = torch.ones(ids.shape, dtype=torch.bool)
        # 1. Move the tokens of every row to the left end.
        order = (~attended).long().argsort(dim=1, stable=True)
        aligned = ids.gather(1, order)
        length = aligned.shape[1]

        # 2. Distribution of the next token over the rows with each prefix.
        rows = widened(self.toy.rows, length + 1)
        inside = torch.arange(rows.shape[1]) < self.toy.lengths[:, None]
        rows = rows.masked_fill(~inside, -1)
        fits = (aligned[:, None] == rows[:, :length]).cumprod(-1)  # (B, S, L)
        following = rows[:, 1 : length + 1]
        tokens = F.one_hot(following.clamp(min=0), self.vocab_size).double()
        tokens = tokens * (following >= 0)[..., None]
        probs = torch.einsum("bsl,s,slv->blv", fits.double(), self.toy.probs, tokens)

        # 3. Move the result back to the positions of this call's tokens.
        place = (attended.cumsum(1) - 1).clamp(min=0)[:, -input_ids.shape[1] :]
        place = place[..., None].expand(-1, -1, self.vocab_size)
        return self.logits(probs.gather(1, place), positions)


@dataclass
class OrderedCache:
    """Cache of an oracle for rows in any order: tokens and their positions."""

    ids: PrefixCache = field(default_factory=PrefixCache)
    positions: PrefixCache = field(default_factory=PrefixCache)


class OrderedOracle(Oracle):
    """p(x_j | the tokens so far and their positions), j the next position."""

    def new_cache(self, batch_size: int, max_length: int) -> OrderedCache:
        return OrderedCache()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        position_ids: Tensor,
        next_position_ids: Tensor,
        positions: Tensor | None = None,
        cache: OrderedCache | None = None,
    ) -> Tensor:
        self.record(input_ids)
        ids, places = input_ids, position_ids
        if cache is not None:
            ids, places = cache.ids.append(ids), cache.positions.append(places)
        attended = attention_mask
        if attended is None:
            attended = torch.ones(ids.shape, dtype=torch.bool)
        # 1. Rows that agree with all tokens so far.
        width = 1 + int(max(places.max(), next_position_ids.max()))
        rows = widened(self.toy.rows, width)
        agree = (rows.T[places] == ids[..., None]) | ~attended[..., None]  # (B, K, S)
        fits = agree.cumprod(1)[:, -input_ids.shape[1] :]  # (B, L, S)

        # 2. Distribution of their tokens at the next position.
        following = rows.T[next_position_ids]  # (B, L, S)
        tokens = F.one_hot(following.clamp(min=0), self.vocab_size).double()
        tokens = tokens * (following >= 0)[..., None]
        probs = torch.einsum("bls,s,blsv->blv", fits.double(), self.toy.probs, tokens)
        return self.logits(probs, positions)


@dataclass
class FixedCache(PrefixCache):
    """Cache of constant logits: the tokens, or the columns of a call."""

    columns: Tensor | None = None
    by_columns: bool = False

    def select(self, rows: Tensor | None, columns: Tensor | None) -> None:
        self.columns, self.by_columns = columns, True

    def append(self, ids: Tensor) -> Tensor:
        return ids if self.by_columns else super().append(ids)


class FixedLogits(Oracle):
    """Constant logits: (V,), or (L, V) by position."""

    def __init__(self, toy: Toy, values: Tensor) -> None:
        super().__init__(toy, values.shape[-1])
        self.values = values

    def new_cache(self, batch_size: int, max_length: int) -> FixedCache:
        return FixedCache()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        t: Tensor | None = None,
        cache: FixedCache | None = None,
        **places: Tensor,
    ) -> Tensor:
        self.record(input_ids, t)
        if cache is not None:
            cache.append(input_ids)
        if cache is not None and cache.columns is not None and self.values.dim() == 2:
            logits = self.values[cache.columns]
        else:
            logits = self.values.expand(*input_ids.shape, -1)
        return logits.clone() if positions is None else logits.flatten(0, 1)[positions]


def identity_head(vocab_size: int) -> nn.Linear:
    """The head of a network whose hidden states are its logits."""
    head = nn.Linear(vocab_size, vocab_size, bias=False)
    del head.weight  # no parameter: nothing of it is trained
    head.register_buffer("weight", torch.eye(vocab_size))
    return head


def widened(rows: Tensor, width: int) -> Tensor:
    """Cut rows (S, L) or fill them with −1 to (S, width)."""
    missing = max(0, width - rows.shape[1])
    return F.pad(rows, (0, missing), value=-1)[:, :width]

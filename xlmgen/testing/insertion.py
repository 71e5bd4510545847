"""Exact insertion and stop probabilities of a toy.

A state is the kept tokens of a row, without CLS. Probabilities follow from enumerating
all subsets of the answer of every row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import comb

import torch
from torch import Tensor

from xlmgen.testing.oracle import DISTRACTING, IMPOSSIBLE, Oracle
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.toy import ANSWER, Toy, make_toy

State = tuple[int, ...]


@dataclass(frozen=True)
class Drop:
    """A row of the toy with some tokens dropped.

    Args:
        row: index of the toy's row.
        dropped: positions of the dropped tokens.
        chance: probability p(row) / ((n + 1) · (n choose N)): N is uniform on 0, …, n,
            and so are subsets of size N.
    """

    row: int
    dropped: tuple[int, ...]
    length: int
    chance: float


@dataclass
class Decisions:
    """Unnormalised probabilities in a state: of (slot, token) pairs and of stopping."""

    inserts: dict[tuple[int, int], float] = field(
        default_factory=lambda: defaultdict(float)
    )
    stop: float = 0.0

    @property
    def stopping(self) -> float:
        """Probability of stopping."""
        return self.stop / (self.stop + sum(self.inserts.values()))


Table = Mapping[State, Decisions]


def drops(toy: Toy) -> Iterator[Drop]:
    """Enumerate all drops of the toy's rows."""
    for row, (answer, p) in enumerate(zip(toy.answer, toy.probs.tolist(), strict=True)):
        places = answer.nonzero().flatten().tolist()
        for size in range(len(places) + 1):
            chance = p / ((len(places) + 1) * comb(len(places), size))
            for dropped in combinations(places, size):
                yield Drop(row, dropped, len(places), chance)


def kept(toy: Toy, drop: Drop) -> list[int]:
    """Return the positions of the kept tokens."""
    return [i for i in range(int(toy.lengths[drop.row])) if i not in drop.dropped]


def decisions(
    toy: Toy, *, corrected: bool, stop_class_weight: float = 1.0
) -> dict[State, Decisions]:
    """Compute the decisions that minimise the objective, by state.

    Args:
        corrected: whether a row of n tokens has the weight n + 1.
        stop_class_weight: weight of the stop decision in complete rows.
    """
    table: dict[State, Decisions] = defaultdict(Decisions)
    for drop in drops(toy):
        mass = drop.chance * (drop.length + 1 if corrected else 1)
        ids, left = toy.rows[drop.row].tolist(), kept(toy, drop)
        here = table[tuple(ids[i] for i in left)]
        if not drop.dropped:
            here.stop += mass * stop_class_weight
        for place in drop.dropped:
            slot = sum(i < place for i in left) - 1
            here.inserts[slot, ids[place]] += mass / len(drop.dropped)
    return dict(table)


def law(
    table: Table, start: State, threshold: float | None = None
) -> dict[State, float]:
    """Compute the exact distribution of generated rows from a state.

    Args:
        threshold: probability of stopping from which on a row stops; None draws it.
    """
    found: dict[State, float] = defaultdict(float)
    active: dict[State, float] = {start: 1.0}
    while active:
        following: dict[State, float] = defaultdict(float)
        for state, p in active.items():
            here = table[state]
            stop = here.stopping if threshold is None else here.stopping >= threshold
            found[state] += p * stop
            total = sum(here.inserts.values())
            for (slot, token), mass in here.inserts.items():
                grown = (*state[: slot + 1], token, *state[slot + 1 :])
                following[grown] += p * (1 - stop) * mass / total
        active = {state: p for state, p in following.items() if p > 0}
    return {state: p for state, p in found.items() if p > 0}


class InsertionOracle(Oracle):
    """p(slot, token | kept) and p(stop | kept), from a table.

    Positions that are not slots and ids that are never inserted get high logits, so
    that code that fails to exclude them fails the test. A constant per state is added
    to its logits, which only a softmax over the full row removes.
    """

    def __init__(
        self,
        toy: Toy,
        table: Table,
        vocab_size: int,
        cls: int,
        distractors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(toy, vocab_size, distractors)
        self.cls = cls
        self.index = {state: number for number, state in enumerate(table)}
        self.width = max(map(len, table)) + 1
        starts = {
            tuple(row[: int(answer.long().argmax())].tolist())
            for row, answer in zip(toy.rows, toy.answer, strict=True)
            if answer.any()
        }
        inserts = torch.full((len(table) + 1, self.width, vocab_size), IMPOSSIBLE)
        stops = torch.zeros(len(table) + 1, 2)
        for number, (state, here) in enumerate(table.items()):
            total = sum(here.inserts.values())
            for (slot, token), mass in here.inserts.items():
                inserts[number, slot + 1, token] = torch.tensor(mass / total).log()
            opening = next(len(s) for s in starts if state[: len(s)] == s)
            inserts[number, :opening] = DISTRACTING  # CLS and the prompt but its last
            if here.inserts:
                last = max(slot for slot, _ in here.inserts) + 1
                inserts[number, last + 1 :] = DISTRACTING  # a given end
            inserts[number] += 0.3 * (number % 3)
            go = torch.tensor([1 - here.stopping, here.stopping])
            stops[number] = go.log().clamp(min=IMPOSSIBLE)
        stops[-1, 0] = IMPOSSIBLE  # not a state of the toy: nothing can be inserted
        inserts[..., self.distractors] = DISTRACTING
        self.inserts = torch.nn.Parameter(inserts)
        self.stops = torch.nn.Parameter(stops)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        self.record(input_ids)
        attended = attention_mask
        if attended is None:
            attended = torch.ones(input_ids.shape, dtype=torch.bool)
        if position_ids is None:
            position_ids = attended.cumsum(1) - 1
        position_ids = position_ids.masked_fill(~attended, input_ids.shape[1])
        aligned = input_ids.masked_fill(~attended, -1)
        aligned = aligned.gather(1, position_ids.argsort(dim=1, stable=True))
        assert (aligned[:, 0] == self.cls).all()
        states, which = torch.unique(aligned[:, 1:], dim=0, return_inverse=True)
        numbers = [
            self.index.get(tuple(i for i in state if i >= 0), len(self.index))
            for state in states.tolist()
        ]
        number = torch.tensor(numbers)[which]  # (B,)
        place = position_ids.clamp(max=self.width - 1)  # (B, L)
        logits = self.inserts[number[:, None], place]  # (B, L, V)
        if positions is not None:
            logits = logits.flatten(0, 1)[positions]
        return logits, self.stops[number]


class FixedInsertions(Oracle):
    """Constant logits, (V,) or (P, V) by position, and constant stop logits.

    Tokens after the P positions have the logits of the last one.
    """

    def __init__(self, toy: Toy, values: Tensor, stopping: float = 0.0) -> None:
        super().__init__(toy, values.shape[-1])
        self.values = values if values.dim() == 2 else values[None]
        chance = torch.tensor([1 - stopping, stopping], dtype=torch.float64)
        self.stops = chance.log().clamp(min=IMPOSSIBLE).float()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor,
        position_ids: Tensor,
    ) -> tuple[Tensor, Tensor]:
        self.record(input_ids)
        place = position_ids.clamp(max=len(self.values) - 1).flatten()[positions]
        return self.values[place], self.stops.expand(len(input_ids), 2)


class InsertionSubject(FamilyTests):
    """A family that generates answers by insertion between BOS and the end."""

    @property
    def eos(self) -> bool:
        """Whether every row ends with EOS."""
        return bool(self.spec.collator.options["eos"])

    @property
    def suppress_tokens(self) -> tuple[int, ...]:
        tokens = self.tokens
        end = (tokens.eos,) if self.eos else ()
        return (tokens.pad, tokens.bos, *end, tokens.mask, tokens.cls)

    @property
    def longest(self) -> int:
        """Length of the longest answer of the toy."""
        return ANSWER - self.eos

    def toy(self, *, prompted: bool = True, fixed: bool = False) -> Toy:
        """Make a toy with answers of all lengths, or of one (`fixed`), without EOS."""
        prompts: list[tuple[int, ...]] = [()]
        if prompted:
            prompts = [(5,), (6,), (7, self.tokens.eos)]
        lengths = range(self.longest if fixed else 0, self.longest + 1)
        toy = make_toy(
            self.tokens,
            prompts=prompts,
            lengths=lengths,
            bos=True,
            eos=self.eos,
            pads=False,
        )
        return replace(toy, answer=toy.answer & (toy.rows != self.tokens.eos))

    def insertion_oracle(
        self, toy: Toy, *, corrected: bool = True, stop_class_weight: float = 1.0
    ) -> InsertionOracle:
        """Make an oracle with high logits for slots and ids that must be excluded."""
        table = decisions(toy, corrected=corrected, stop_class_weight=stop_class_weight)
        size = self.tokens.vocab_size
        return InsertionOracle(toy, table, size, self.tokens.cls, self.suppress_tokens)

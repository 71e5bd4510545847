"""Tests of generation by inserting one token at a time."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.runtime.generation import Generation
from xlmgen.testing.insertion import (
    FixedInsertions,
    InsertionSubject,
    State,
    Table,
    decisions,
    law,
)
from xlmgen.testing.oracle import DISTRACTING, IMPOSSIBLE, Oracle
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.model import outputs
from xlmgen.testing.suites.predictor import (
    LEAST,
    PROMPTS,
    Batch,
    PredictorSubject,
    Prompts,
    confined,
)
from xlmgen.testing.toy import ANSWER, Toy, seeded

REPEAT = 3000
ROOM = ANSWER + 1
"""More than the longest answer of a toy, so that rows stop by decision."""


class InsertionPredictorTests(InsertionSubject, PredictorSubject):
    """Samples follow the process, only slots grow, and rows stop independently."""

    @pytest.mark.parametrize("fixed", [True, False])
    def test_samples_follow_the_distribution(self, fixed: bool) -> None:
        """Exact if stops are drawn, or for answers of one length."""
        toy = self.toy(fixed=fixed)
        prompts = sorted(set(toy.prompts))
        out = self.generate(self.oracle(toy), self.prompts(prompts, REPEAT))
        for place, prompt in enumerate(prompts):
            expected = law(self.table(toy), self.state(prompt), self.threshold)
            if fixed or self.threshold is None:
                given = self.data(toy, prompt)
                assert all(abs(expected[s] - p) < 1e-9 for s, p in given.items())
            self.check(self.drawn(out, place), expected)

    def test_uncorrected_network_prefers_short_rows(self) -> None:
        """The distribution is ∝ p / (n + 1) if stops are drawn."""
        toy = self.toy()
        batch = self.prompts([(5,)], REPEAT)
        out = self.generate(self.insertion_oracle(toy, corrected=False), batch)
        table = self.table(toy, corrected=False)
        expected = law(table, self.state((5,)), self.threshold)
        if self.threshold is None:
            short = {s: p / (1 + self.size(s)) for s, p in self.data(toy, (5,)).items()}
            total = sum(short.values())
            assert all(abs(expected[s] - p / total) < 1e-9 for s, p in short.items())
        self.check(self.drawn(out, 0), expected)

    def test_greedy_generation_equals_loop_over_single_rows(self) -> None:
        """The loop runs each row alone, in order, without positions or padding."""
        model = StopsAt(self.network(), length=8)
        for batch in (self.prompts([(5,), (6, 7, 5), (7, 2), ()]), self.holes()):
            batch["max_insertions"] = torch.full_like(batch["max_insertions"], 6)
            out = self.generate(model, batch, **self.greedy)
            for row in range(len(batch["input_ids"])):
                ids, slots = given(batch, row)
                made = [False] * len(ids)
                while len(ids) < 8 and sum(made) < 6:
                    logits = outputs(model.inner, torch.tensor([ids]))[0][0].detach()
                    logits[:, list(self.suppress_tokens)] = -torch.inf
                    logits[~torch.tensor(slots)] = -torch.inf
                    slot, token = self.best(logits)
                    ids.insert(slot + 1, token)
                    slots.insert(slot + 1, True)
                    made.insert(slot + 1, True)
                width = len(ids)
                assert out.ids[row, :width].tolist() == ids
                assert out.generated[row, :width].tolist() == made
                assert (out.ids[row, width:] == self.tokens.pad).all()
                assert not out.generated[row, width:].any()

    def test_insertions_are_in_holes_only(self) -> None:
        batch = self.holes()
        for seed in range(10):
            out = self.generate(StopsAt(self.network(seed), 9), batch, seed=seed)
            for row in range(len(batch["input_ids"])):
                ids, slots = given(batch, row)
                grown = self.groups(out, row, len(ids))
                assert [own for own, _ in grown] == ids
                assert all(
                    s or not new for (_, new), s in zip(grown, slots, strict=True)
                )
                assert sum(len(new) for _, new in grown) > 0

    def test_answers_are_between_bos_and_eos(self) -> None:
        end = [self.tokens.eos] * self.eos
        out = self.generate(self.oracle(self.toy()), self.prompts(PROMPTS, repeat=50))
        for row, (ids, made) in enumerate(zip(out.ids, out.generated, strict=True)):
            start = [self.tokens.cls, *PROMPTS[row // 50], self.tokens.bos]
            answer = ids[made].tolist()
            line = start + answer + end
            assert ids.tolist() == line + [self.tokens.pad] * (len(ids) - len(line))

    @pytest.mark.parametrize("probability", [0.0, 0.3, 0.85, 0.95, 1.0])
    def test_rows_stop_with_probability_of_stop_head(self, probability: float) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        model = FixedInsertions(self.toy(), logits, probability)
        out = self.generate(model, self.prompts([(5,)], REPEAT))
        lengths = out.generated.sum(1).bincount(minlength=ROOM + 1)
        if self.threshold is None:
            stop = probability
        else:
            stop = float(probability >= self.threshold)
        law = torch.tensor([stop * (1 - stop) ** n for n in range(ROOM)])
        law = torch.cat((law, 1 - law.sum(0, keepdim=True))).clamp(min=0)
        assert p_value(lengths, law) > LEAST

    def test_threshold_is_compared_in_float64(self) -> None:
        """Checks the adjacent bfloat16 logits below and above the threshold."""
        if self.threshold is None:
            pytest.skip("stops are drawn")
        limit = math.log(self.threshold / (1 - self.threshold))
        near = torch.tensor(limit or 0.01, dtype=torch.bfloat16)
        ends = torch.tensor([-torch.inf, torch.inf], dtype=torch.bfloat16)
        below, above = torch.nextafter(near, ends)
        if limit == 0:  # for a threshold of ½
            below, above = -near, near
        elif near.double() < limit:
            below = near
        else:
            above = near
        for logit, number in ((below, ROOM), (above, 0)):
            model = StopsBy(self.network(), logit)
            out = self.generate(model, self.prompts([(5,)]))
            assert int(out.generated.sum()) == number

    def test_finished_rows_leave_the_batch(self) -> None:
        """Rows stop after different numbers of insertions and do not return."""
        model = FixedInsertions(self.toy(), torch.zeros(self.tokens.vocab_size))
        batch = self.prompts([(5,), (7, 2), (6,), (5, 5, 6)])
        width = batch["input_ids"].shape[1]
        out = self.generate(StopsAt(model, length=6), batch)
        answers = out.generated.sum(1)
        assert answers.tolist() == [
            3 - self.eos,
            2 - self.eos,
            3 - self.eos,
            1 - self.eos,
        ]
        assert len(model.shapes) == 4 - self.eos
        for step, shape in enumerate(model.shapes):
            assert shape == ((answers >= step).sum(), width + step)

    def test_full_rows_stop(self) -> None:
        model = FixedInsertions(self.toy(), torch.zeros(self.tokens.vocab_size))
        batch = self.prompts(PROMPTS) | {"max_insertions": torch.tensor([3, 0, 1])}
        out = self.generate(model, batch)
        assert out.generated.sum(1).tolist() == [3, 0, 1]
        assert out.forward_passes == 3
        assert [shape[0] for shape in model.shapes] == [2, 1, 1]
        out = self.generate(model, batch, max_new_tokens=2)
        assert out.generated.sum(1).tolist() == [2, 0, 1]

    def test_batch_without_free_positions_takes_no_pass(self) -> None:
        batch = self.prompts(PROMPTS)
        nowhere = batch | {"insertable": torch.zeros_like(batch["insertable"])}
        full = batch | {"max_insertions": torch.zeros_like(batch["max_insertions"])}
        for same in (nowhere, full):
            out = self.generate(self.network(), same)
            assert out.forward_passes == 0
            assert not out.generated.any()
            width = batch["input_ids"].shape[1]
            assert out.ids[:, :width].equal(batch["input_ids"])

    def test_trace_has_order_of_insertion(self) -> None:
        batch = self.holes()
        out = self.generate(StopsAt(self.network(), 9), batch, trace=True)
        assert out.trace is not None
        for row in range(len(batch["input_ids"])):
            here = out.trace.row == row
            steps = out.trace.step[here].tolist()
            assert steps == list(range(int(out.generated[row].sum())))

    def test_pairs_follow_distribution_of_sampling_options(self) -> None:
        """Compares one insertion into three slots with computed probabilities."""
        size, (first, second, third) = self.tokens.vocab_size, SLOTS
        logits = torch.randn(5, size, generator=seeded(4)) * 1.5
        logits[first, 5], logits[first, 6], logits[second, 7] = 1.6, 1.2, 2.1
        logits[[p for p in range(5) if p not in SLOTS]] = 9.0
        probs = logits[[first, second, third]].double().exp()
        probs[:, list(self.suppress_tokens)] = 0
        for numbers in OPTIONS + (SLOT_OPTIONS if self.slot_first else []):
            expected = self.pairs(probs / probs.sum(), **numbers)
            found = self.first_pairs(logits, **numbers)
            assert p_value(found, expected) > LEAST, numbers

    def first_pairs(self, logits: Tensor, **numbers: Any) -> Tensor:
        """Count (3, V) slots and tokens of one insertion into `CLS BOS 5 6 7`."""
        tokens = self.tokens
        ids = torch.tensor([[tokens.cls, tokens.bos, 5, 6, 7]]).repeat(REPEAT, 1)
        slots = torch.zeros(ids.shape, dtype=torch.bool)
        slots[:, list(SLOTS)] = True
        batch = {
            "input_ids": ids,
            "attention_mask": None,
            "insertable": slots,
            "max_insertions": torch.ones(REPEAT, dtype=torch.int64),
        }
        out = self.generate(FixedInsertions(self.toy(), logits), batch, **numbers)
        place = out.generated.long().argmax(1)
        token = out.ids[out.generated]
        slot = torch.tensor([SLOTS.index(p - 1) for p in place.tolist()])
        cells = (slot * tokens.vocab_size + token).bincount(
            minlength=3 * tokens.vocab_size
        )
        return cells.view(3, -1)

    def pairs(
        self,
        probs: Tensor,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        slot_temperature: float = 1.0,
        slot_top_k: int | None = None,
        slot_top_p: float | None = None,
    ) -> Tensor:
        """Compute the probabilities (3, V) of pairs from those of the network."""
        if not self.slot_first:
            drawn = confined(probs.flatten(), temperature, top_k, top_p)
            return drawn.view_as(probs)
        slots = confined(probs.sum(1), slot_temperature, slot_top_k, slot_top_p)
        rows = [confined(row / row.sum(), temperature, top_k, top_p) for row in probs]
        return slots[:, None] * torch.stack(rows)

    @property
    def plain(self) -> dict[str, Any]:
        plain = super().plain
        if self.slot_first:
            plain |= {"slot_temperature": 1.0, "slot_top_k": None, "slot_top_p": None}
        return plain

    @property
    def greedy(self) -> dict[str, Any]:
        slots = {"slot_temperature": 0.0} if self.slot_first else {}
        return {"temperature": 0.0, **slots}

    @property
    def slot_first(self) -> bool:
        return bool(self.spec.predictor.options["draw"] == "slot_first")

    @property
    def threshold(self) -> float | None:
        """Probability at which a row stops; None if stops are drawn."""
        options = self.spec.predictor.options
        if options["stop"] == "sample":
            return None
        return float(options["stop_threshold"])

    def prompts(self, prompts: Prompts, repeat: int = 1) -> Batch:
        """Build `CLS prompt BOS [EOS]`, padded on the right, with a slot after BOS."""
        tokens, end = self.tokens, [self.tokens.eos] * self.eos
        rows = [[tokens.cls, *prompt, tokens.bos, *end] for prompt in prompts]
        width = max(map(len, rows))
        ids = torch.tensor([row + [tokens.pad] * (width - len(row)) for row in rows])
        attended = torch.tensor(
            [[c < len(row) for c in range(width)] for row in rows]
        ).repeat_interleave(repeat, 0)
        ids = ids.repeat_interleave(repeat, 0)
        return {
            "input_ids": ids,
            "attention_mask": None if attended.all() else attended,
            "insertable": ids == tokens.bos,
            "max_insertions": torch.full((len(ids),), ROOM),
        }

    def holes(self) -> Batch:
        """Build rows of two lengths with one, two and three slots."""
        tokens, end = self.tokens, [self.tokens.eos] * self.eos
        rows = [[tokens.cls, tokens.bos, *rest, *end] for rest in ([5, 6], [7, 6], [5])]
        places = [[2], [1, 3], [1, 2]]
        width = max(map(len, rows))
        ids = torch.tensor([row + [tokens.pad] * (width - len(row)) for row in rows])
        slots = torch.zeros(ids.shape, dtype=torch.bool)
        for row, where in enumerate(places):
            slots[row, where] = True
        return {
            "input_ids": ids,
            "attention_mask": ids != tokens.pad,
            "insertable": slots,
            "max_insertions": torch.tensor([5, 5, 5]),
        }

    def start(self, batch: Batch, out: Generation) -> Tensor:
        """Place the given tokens, in order, at the positions that are not new."""
        width = batch["input_ids"].shape[1] + int(batch["max_insertions"].max())
        start = torch.full((len(batch["input_ids"]), width), self.tokens.pad)
        for row, made in enumerate(out.generated):
            ids, _ = given(batch, row)
            places = (~made).nonzero().flatten()[: len(ids)]
            start[row, places] = torch.tensor(ids)
        return start

    def oracle(self, toy: Toy) -> Oracle:
        return self.insertion_oracle(toy)

    def fixed(self, values: Tensor) -> Oracle:
        return FixedInsertions(self.toy(), values)

    def first_tokens(self, logits: list[float], **numbers: Any) -> Tensor:
        batch = self.prompts([(5,)], repeat=REPEAT)
        model = self.fixed(torch.tensor(logits))
        out = self.generate(model, batch, max_new_tokens=1, **numbers)
        return out.ids[out.generated].bincount(minlength=self.tokens.vocab_size)

    def best(self, logits: Tensor) -> tuple[int, int]:
        """Return the greedy choice among logits (L, V)."""
        if self.slot_first:
            slot = int(logits.double().logsumexp(1).argmax())
            return slot, int(logits[slot].argmax())
        return divmod(int(logits.flatten().argmax()), logits.shape[1])

    def table(self, toy: Toy, *, corrected: bool = True) -> Table:
        return decisions(toy, corrected=corrected)

    def state(self, prompt: tuple[int, ...]) -> State:
        """Return the given tokens of a prompt."""
        return (*prompt, self.tokens.bos, *([self.tokens.eos] * self.eos))

    def size(self, state: State) -> int:
        """Return the number of answer tokens in a state."""
        return len(state) - state.index(self.tokens.bos) - 1 - self.eos

    def data(self, toy: Toy, prompt: tuple[int, ...]) -> dict[State, float]:
        """Compute the distribution of complete rows for a prompt."""
        rows = zip(toy.rows, toy.lengths, toy.given(prompt).tolist(), strict=True)
        return {tuple(row[:length].tolist()): p for row, length, p in rows if p > 0}

    def drawn(self, out: Generation, place: int) -> Counter[State]:
        """Count the rows generated for a prompt."""
        rows = out.ids[place * REPEAT : (place + 1) * REPEAT, 1:].tolist()
        return Counter(tuple(i for i in row if i != self.tokens.pad) for row in rows)

    def check(self, found: Counter[State], expected: dict[State, float]) -> None:
        """Check that samples follow a distribution and have positive probability."""
        assert set(found) <= set(expected)
        counts = torch.tensor([found[state] for state in expected])
        assert p_value(counts, torch.tensor(list(expected.values()))) > LEAST

    def groups(
        self, out: Generation, row: int, number: int
    ) -> list[tuple[int, list[int]]]:
        """Group the new tokens of a row by the given token before them."""
        groups: list[tuple[int, list[int]]] = []
        for token, new in zip(out.ids[row], out.generated[row], strict=True):
            if new:
                groups[-1][1].append(int(token))
            elif len(groups) < number:
                groups.append((int(token), []))
        return groups


SLOTS = (1, 2, 4)
"""Positions of the slots in a row of five."""

OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 2.0},
    {"top_k": 3},
    {"top_p": 0.4},
    {"temperature": 0.5, "top_k": 4, "top_p": 0.8},
]
SLOT_OPTIONS: list[dict[str, Any]] = [
    {"slot_temperature": 0.0},
    {"slot_temperature": 3.0},
    {"slot_top_k": 2},
    {"slot_top_p": 0.5},
    {"slot_top_k": 1, "temperature": 2.0},
]


class StopsAt(nn.Module):
    """A network that stops at a length, regardless of its stop head."""

    def __init__(self, inner: nn.Module, length: int) -> None:
        super().__init__()
        self.inner, self.head, self.length = inner, inner.head, length

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> tuple[Tensor, Tensor]:
        hidden, _ = self.inner(input_ids, attention_mask, **options)
        length = torch.full((len(input_ids),), input_ids.shape[1])
        if attention_mask is not None:
            length = attention_mask.sum(1)
        stop = torch.full((len(input_ids), 2), IMPOSSIBLE)
        stop[torch.arange(len(stop)), (length >= self.length).long()] = DISTRACTING
        return hidden, stop


class StopsBy(nn.Module):
    """A network with constant stop logits: 0 and another."""

    def __init__(self, inner: nn.Module, logit: Tensor) -> None:
        super().__init__()
        self.inner, self.head, self.logit = inner, inner.head, logit

    def forward(self, input_ids: Tensor, *given: Any, **options: Any) -> Any:
        hidden, _ = self.inner(input_ids, *given, **options)
        stop = torch.stack((torch.zeros_like(self.logit), self.logit))
        return hidden, stop.expand(len(input_ids), 2)


def given(batch: Batch, row: int) -> tuple[list[int], list[bool]]:
    """Return the given tokens of a row and its slots, without pads."""
    mask = batch["attention_mask"]
    ids, slots = batch["input_ids"][row], batch["insertable"][row]
    if mask is not None:
        ids, slots = ids[mask[row]], slots[mask[row]]
    return ids.tolist(), slots.tolist()

"""Tests of batches with dropped tokens."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Any

import pytest
import torch

from xlmgen.errors import UserError
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.testing.insertion import InsertionSubject
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import EXAMPLES, MAX_LENGTH, WHOLE, CollatorSubject
from xlmgen.testing.toy import seeded

ROWS = 4000
LEAST = 1e-4
"""A correct collator has a lower p-value for one of 10⁴ seeds; the seed is fixed."""

TRAINING = ("lm", "seq2seq", "infill")
HOLES = [
    {"tokens": [5, 6, 7, 6, 5], "given": [1, 0, 0, 1, 0]},
    {"tokens": [7, 6, 6], "given": [0, 1, 1]},
    {"tokens": [6, 6, 7, 7], "given": [1, 1, 0, 1]},
]


class DroppingCollatorTests(InsertionSubject, CollatorSubject):
    """Inserting the dropped tokens into their slots restores the rows."""

    def test_inserting_dropped_tokens_restores_rows(self) -> None:
        for use in TRAINING:
            lengths = set()
            for seed in range(40):
                batch = self.batch(use, seed)
                assert restored(batch) == self.complete_rows(use)
                lengths.add(batch["input_ids"].shape[1])
            assert len(lengths) > 1

    def test_slots_are_after_bos_and_kept_answer_tokens(self) -> None:
        """Slots are after BOS and every kept answer token; only in holes, if any."""
        for use in TRAINING:
            for seed in range(40):
                batch = self.batch(use, seed)
                slots = flags(batch, batch["slot_positions"])
                for row, (ids, answer) in enumerate(self.rows(use)):
                    marks = self.marks(batch, row, ids, answer)
                    assert slots[row][: len(marks)] == marks
                    assert not any(slots[row][len(marks) :])

    def test_given_tokens_are_never_dropped(self) -> None:
        for use in TRAINING:
            for seed in range(40):
                batch = self.batch(use, seed)
                for row, (ids, answer) in enumerate(self.rows(use)):
                    given = [i for i, a in zip(ids, answer, strict=True) if not a]
                    seen = iter(tokens(batch, row))
                    assert all(token in seen for token in given)
                    assert len(tokens(batch, row)) >= len(given)

    def test_counts_match_dropped_tokens(self) -> None:
        for use in TRAINING:
            batch = self.batch(use, 3)
            for row, (ids, answer) in enumerate(self.rows(use)):
                assert batch["answer_length"][row] == sum(answer)
                dropped = len(ids) - len(tokens(batch, row))
                assert batch["num_dropped"][row] == dropped

    def test_dropped_subsets_have_expected_frequencies(self) -> None:
        """Of three tokens each size has probability 1/4, divided among its subsets."""
        example = {"prompt": [5], "target": [5, 6, 7]}
        batch = self.collate("seq2seq", [example] * ROWS)
        subsets = [s for n in range(4) for s in combinations((5, 6, 7), n)]
        counts = torch.zeros(len(subsets))
        start = 3
        for row in range(ROWS):
            kept = tuple(i for i in tokens(batch, row)[start - 1 :] if i >= 5)
            counts[subsets.index(kept)] += 1
        probs = torch.tensor([1 / (4 * comb(3, len(s))) for s in subsets])
        assert p_value(counts, probs) > LEAST

    def test_rows_drop_tokens_independently(self) -> None:
        example = {"prompt": [5], "target": [5]}
        batch = self.collate("seq2seq", [example] * ROWS)
        pairs = batch["num_dropped"].view(-1, 2)
        counts = (2 * pairs[:, 0] + pairs[:, 1]).bincount(minlength=4)
        assert p_value(counts, torch.full((4,), 0.25)) > LEAST

    def test_pads_are_on_the_right_and_not_attended(self) -> None:
        for use in TRAINING:
            for seed in range(10):
                batch = self.batch(use, seed)
                real = batch["input_ids"] != self.tokens.pad
                mask = batch["attention_mask"]
                assert real.all() if mask is None else mask.equal(real)
                assert real.equal(real.cummin(1).values)
                assert (batch["input_ids"][:, 0] == self.tokens.cls).all()

    def test_empty_answer_drops_nothing(self) -> None:
        batch = self.collate("seq2seq", [{"prompt": [5], "target": []}])
        end = [self.tokens.eos] * self.eos
        assert batch["input_ids"].tolist() == [
            [self.tokens.cls, 5, self.tokens.bos, *end]
        ]
        assert batch["num_dropped"].tolist() == batch["answer_length"].tolist() == [0]
        assert len(batch["target_ids"]) == 0

    def test_packed_rows_can_drop_all_but_bos(self) -> None:
        bos, eos = self.tokens.bos, self.tokens.eos
        row = [bos, 5, 6, eos, 7]
        examples = [{"tokens": row, "packed": True}] * 20
        if self.eos:
            with pytest.raises(UserError, match="packed"):
                self.collate("lm", examples)
            with pytest.raises(UserError, match="packed"):
                self.collate("unconditional", [{"packed": True}])
            return
        batch = self.collate("lm", examples)
        assert restored(batch) == [[self.tokens.cls, *row]] * 20
        assert batch["answer_length"].tolist() == [4] * 20
        assert (batch["input_ids"][:, 1] == bos).all()
        opening = self.collate("unconditional", [{"packed": True}])
        assert opening["input_ids"].tolist() == [[self.tokens.cls, bos]]
        assert opening["max_insertions"].tolist() == [WHOLE.answer - 1]

    def test_separate_documents_are_refused(self) -> None:
        """A row has one stop decision only."""
        bos = self.tokens.bos
        row = {"tokens": [bos, 5, bos, 6], "packed": True, "documents": [1, 1, 2, 2]}
        with pytest.raises(UserError, match="packed"):
            self.collate("lm", [row])

    def test_prompts_have_one_slot_after_bos(self) -> None:
        cls, bos, pad = self.tokens.cls, self.tokens.bos, self.tokens.pad
        end = [self.tokens.eos] * self.eos
        batch = self.collate("predict")
        rows = [[cls, *e["prompt"], bos, *end] for e in EXAMPLES["predict"]]
        width = max(map(len, rows))
        assert batch["input_ids"].tolist() == [
            row + [pad] * (width - len(row)) for row in rows
        ]
        assert batch["attention_mask"].equal(batch["input_ids"] != pad)
        assert batch["insertable"].equal(batch["input_ids"] == bos)
        assert batch["max_insertions"].tolist() == [MAX_LENGTH.answer - self.eos] * 3

    def test_bos_counts_as_token_without_prompt(self) -> None:
        cls, bos = self.tokens.cls, self.tokens.bos
        end = [self.tokens.eos] * self.eos
        batch = self.collate("unconditional", [{}, {}])
        assert batch["input_ids"].tolist() == [[cls, bos, *end]] * 2
        assert batch["attention_mask"] is None
        assert batch["max_insertions"].tolist() == [WHOLE.answer - 1 - self.eos] * 2
        begun = self.collate("unconditional", [{"prompt": [5, 6]}])
        assert begun["input_ids"].tolist() == [[cls, bos, 5, 6, *end]]
        assert begun["insertable"].nonzero()[:, 1].tolist() == [3]
        assert begun["max_insertions"].tolist() == [WHOLE.answer - 3 - self.eos]

    def test_prompts_with_holes_have_given_tokens_only(self) -> None:
        """Includes holes after BOS, at the end, and of several tokens."""
        cls, bos = self.tokens.cls, self.tokens.bos
        end = [self.tokens.eos] * self.eos
        collator = self.family.collators["predict_infill"](self.tokens, MaxLength(8))
        batch = collator(HOLES)
        rows = [
            [cls, bos, 5, 6, *end],
            [cls, bos, 6, 6, *end],
            [cls, bos, 6, 6, 7, *end],
        ]
        slots = [[2, 3], [1], [3]]
        for row, (ids, places) in enumerate(zip(rows, slots, strict=True)):
            assert tokens(batch, row) == ids
            assert batch["insertable"][row].nonzero().flatten().tolist() == places
            assert batch["max_insertions"][row] == 8 - (len(ids) - 1)

    def batch(self, use: str, seed: int) -> dict[str, Any]:
        """Collate a training batch of rows of different lengths."""
        if use != "infill":
            return self.collate(use, seed=seed)
        collator = self.family.collators[use](self.tokens, MaxLength(8))
        batch: dict[str, Any] = collator(HOLES, seeded(seed))
        return batch

    def rows(self, use: str) -> list[tuple[list[int], list[bool]]]:
        """Expected rows, and which of their tokens may be dropped."""
        rows = []
        for example in HOLES if use == "infill" else EXAMPLES[use]:
            prompt = example.get("prompt", [])
            target = example["target" if use == "seq2seq" else "tokens"]
            given = example.get("given", [0] * len(target))
            start = [self.tokens.cls, *prompt, self.tokens.bos]
            end = [self.tokens.eos] * self.eos
            answer = [False] * len(start) + [not g for g in given] + [False] * self.eos
            rows.append(([*start, *target, *end], answer))
        return rows

    def complete_rows(self, use: str) -> list[list[int]]:
        return [ids for ids, _ in self.rows(use)]

    def marks(
        self, batch: dict[str, Any], row: int, ids: list[int], answer: list[bool]
    ) -> list[bool]:
        """Compute the slots of a row from its dropped tokens."""
        missing = dropped(batch, row)
        place, marks = -1, []
        for count in [len(m) for m in missing]:
            place += 1
            inside = answer[place] or (place + 1 < len(ids) and answer[place + 1])
            marks.append(inside)
            place += count
        return marks


def tokens(batch: dict[str, Any], row: int) -> list[int]:
    """Return the kept tokens of a row, CLS first, without pads."""
    ids, mask = batch["input_ids"][row], batch["attention_mask"]
    return (ids if mask is None else ids[mask[row]]).tolist()


def flags(batch: dict[str, Any], at: torch.Tensor) -> list[list[bool]]:
    """Convert sorted flat positions to a mask (B, L)."""
    assert at.tolist() == sorted(set(at.tolist()))
    found = torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
    found.view(-1)[at] = True
    return found.tolist()


def dropped(batch: dict[str, Any], row: int) -> list[list[int]]:
    """Return the tokens missing after every kept token of a row."""
    width = batch["input_ids"].shape[1]
    missing: list[list[int]] = [[] for _ in tokens(batch, row)]
    at = batch["slot_positions"][batch["target_slot"]].tolist()
    for place, token in zip(at, batch["target_ids"].tolist(), strict=True):
        if place // width == row:
            missing[place % width].append(token)
    return missing


def restored(batch: dict[str, Any]) -> list[list[int]]:
    """Insert the dropped tokens of every row into their slots."""
    return [
        [
            token
            for own, lost in zip(tokens(batch, row), dropped(batch, row), strict=True)
            for token in (own, *lost)
        ]
        for row in range(len(batch["input_ids"]))
    ]

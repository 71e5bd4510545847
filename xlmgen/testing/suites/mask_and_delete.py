"""Tests of batches with masked and missing tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.testing.remnants import fate_chances
from xlmgen.testing.schedule import event_schedule
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import EXAMPLES, MAX_LENGTH, WHOLE, CollatorSubject
from xlmgen.testing.suites.growing import GrowingFamily

ROWS = 6000
LEAST = 1e-4
"""A correct collator has a lower p-value for one of 10⁴ seeds; the seed is fixed."""

Example = dict[str, list[int]]
Clean = tuple[list[int], list[bool], list[bool]]
"""A clean row: ids, tokens that may be missing, tokens after which others may be."""


class MaskAndDeleteTests(GrowingFamily, CollatorSubject):
    """Kept and missing tokens, and their frequencies, computed independently."""

    def test_kept_and_missing_tokens_restore_clean_rows(self) -> None:
        """The position of each token follows from the gaps before it."""
        for use in ("lm", "seq2seq", "infill"):
            for seed in range(30):
                batch = self.collate(use, seed=seed)
                for row, clean in enumerate(self.clean(use)):
                    self.check_row(batch, row, clean)

    def test_masks_are_at_declared_positions(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            for seed in range(10):
                batch = self.collate(use, seed=seed)
                ids, target = batch["input_ids"], batch["target_ids"]
                masked = ids == self.tokens.mask
                positions = masked.flatten().nonzero().squeeze(1)
                assert batch["masked_positions"].equal(positions)
                assert ids[~masked].equal(target[~masked])

    def test_attention_mask_covers_kept_tokens(self) -> None:
        for seed in range(10):
            batch = self.collate("lm", seed=seed)
            attended = batch["target_ids"] != self.tokens.pad
            mask = batch["attention_mask"]
            assert attended.all() if mask is None else mask.equal(attended)
            assert attended.any(0).all(), "columns that hold nothing"

    def test_num_tokens_counts_answer_with_missing_tokens(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            counts = [sum(answer) for _, answer, _ in self.clean(use)]
            assert self.collate(use)["num_tokens"].tolist() == counts

    def test_token_states_have_frequencies_of_schedules(self) -> None:
        """Checks every token in every quarter of the times."""
        batch, fates = self.drawn()
        t = batch["t"].double()
        chances = fate_chances(
            event_schedule(self.spec, "insert"), event_schedule(self.spec, "unmask"), t
        )
        for quarter in range(4):
            rows = (t * 4).ceil() == quarter + 1
            expected = chances[rows].sum(0)
            for column in range(3):
                counts = fates[rows, column].bincount(minlength=3)
                assert p_value(counts, expected / expected.sum()) > LEAST

    def test_tokens_of_row_are_independent_given_time(self) -> None:
        """Compares the joint states of two tokens with their expectation."""
        batch, fates = self.drawn()
        chances = fate_chances(
            event_schedule(self.spec, "insert"),
            event_schedule(self.spec, "unmask"),
            batch["t"].double(),
        )
        expected = torch.einsum("bi,bj->ij", chances, chances) / ROWS
        for one, other in ((0, 1), (1, 2), (0, 2)):
            pairs = fates[:, one] * 3 + fates[:, other]
            assert p_value(pairs.bincount(minlength=9), expected.flatten()) > LEAST

    def test_times_cover_their_interval(self) -> None:
        """Times are in (0, 1]: from the data to empty."""
        for evaluation in (False, True):
            batch = self.collate("lm", [{"tokens": [5]}] * ROWS, evaluation=evaluation)
            start = 0.0 if evaluation else self.eps
            t = batch["t"].double()
            assert (batch["t"] > 0).all()
            assert t.min() >= start - 1e-6
            assert t.max() <= 1
            cells = ((1 - t) / (1 - start) * 10).floor().clamp(0, 9).long()
            even = torch.full((10,), 0.1)
            assert p_value(cells.bincount(minlength=10), even) > LEAST
            assert batch["time_weight"].double().sub(1 - start).abs().max() < 1e-6

    def test_antithetic_times_are_stratified_over_the_interval(self) -> None:
        size = 16
        t = self.collate("lm", [{"tokens": [5]}] * size)["t"].double()
        shares = ((1 - t) / (1 - self.eps) * size - 1e-4).floor() % size
        part = self.spec.noise_schedule
        assert part is not None
        assert (len(set(shares.tolist())) == size) == part.options["antithetic"]

    def test_other_seed_gives_other_draw(self) -> None:
        one, other = (self.collate("lm", seed=seed)["t"] for seed in (1, 2))
        assert not torch.equal(one, other)

    def test_packed_rows_keep_bos_and_can_miss_other_tokens(self) -> None:
        bos, eos = self.tokens.bos, self.tokens.eos
        row = [bos, 5, 6, eos, 7]
        examples = [{"tokens": row, "packed": True}] * 200
        batch = self.collate("lm", examples)
        clean = (row, [False, *[True] * 4], [True] * 5)
        for index in range(len(examples)):
            self.check_row(batch, index, clean)
        assert (batch["num_tokens"] == 4).all()
        left = [set(row.tolist()) for row in batch["target_ids"]]
        assert not all(eos in tokens for tokens in left)

    def test_prompt_batch_has_given_tokens(self) -> None:
        bos, end = [self.tokens.bos], [self.tokens.eos] * self.ended
        batch = self.collate("predict")
        rows = [[*e["prompt"], *bos, *end] for e in EXAMPLES["predict"]]
        opening = [len(e["prompt"]) for e in EXAMPLES["predict"]]
        self.check_prompt(batch, rows, [{place} for place in opening])
        assert batch["max_insertions"].tolist() == [MAX_LENGTH.answer - len(end)] * 3

    def test_answer_fills_limit_without_prompt(self) -> None:
        bos, end = [self.tokens.bos], [self.tokens.eos] * self.ended
        examples: list[dict[str, Any]] = [{}, {"prompt": [5, 6]}]
        batch = self.collate("unconditional", examples)
        rows = [[*bos, *end], [*bos, 5, 6, *end]]
        self.check_prompt(batch, rows, [{0}, {2}])
        assert batch["max_insertions"].tolist() == [
            WHOLE.answer - len(row) for row in rows
        ]

    def test_prompt_of_packed_row_is_bos(self) -> None:
        examples: list[dict[str, Any]] = [{"packed": True}] * 2
        batch = self.collate("unconditional", examples)
        self.check_prompt(batch, [[self.tokens.bos]] * 2, [{0}] * 2)
        assert batch["max_insertions"].tolist() == [WHOLE.answer - 1] * 2

    def test_only_holes_are_free(self) -> None:
        batch = self.collate("predict_infill")
        rows, free = [], []
        for ids, answer, _ in self.clean("infill"):
            rows.append([i for i, hole in zip(ids, answer, strict=True) if not hole])
            kept = [place for place, hole in enumerate(answer) if not hole]
            follows = [place + 1 < len(ids) and answer[place + 1] for place in kept]
            free.append({index for index, yes in enumerate(follows) if yes})
        self.check_prompt(batch, rows, free)
        assert batch["max_insertions"].tolist() == [
            WHOLE.answer - len(row) for row in rows
        ]

    def test_gap_longer_than_max_gap_is_refused(self) -> None:
        if self.longest is None:
            return
        name = self.family.collators["seq2seq"]
        size = self.longest
        max_length = type(MAX_LENGTH)(size + 2, 3)
        collate = name(self.tokens, max_length)
        collate([{"prompt": [5], "target": [5] * size}])
        with pytest.raises(UserError, match=f"row 1 .*{size + 1} tokens.* {size}"):
            collate(
                [
                    {"prompt": [5], "target": [5]},
                    {"prompt": [5], "target": [5] * (size + 1)},
                ]
            )

    @property
    def eps(self) -> float:
        assert self.spec.noise_schedule is not None
        return float(self.spec.noise_schedule.options["sampling_eps"])

    def clean(self, use: str) -> list[Clean]:
        """Expected clean rows of the examples."""
        bos, end = self.tokens.bos, [self.tokens.eos] * self.ended
        rows: list[Clean] = []
        for example in EXAMPLES[use]:
            prompt, given = example.get("prompt", []), example.get("given")
            target = example.get("target", example.get("tokens", []))
            ids = [*prompt, bos, *target, *end]
            answer = [not g for g in given] if given else [True] * len(target)
            answer = [*[False] * (len(prompt) + 1), *answer, *[False] * len(end)]
            if given:
                free = [
                    a or b for a, b in zip(answer, [*answer[1:], False], strict=True)
                ]
            else:
                free = [*[False] * len(prompt), True, *[True] * len(target)]
                free += [False] * len(end)
            rows.append((ids, answer, free))
        return rows

    def check_row(self, batch: dict[str, Any], row: int, clean: Clean) -> None:
        """Check the kept tokens of a row against the clean row."""
        ids, answer, free = clean
        place, kept = 0, []
        target = batch["target_ids"][row].tolist()
        gaps, free_gaps = (
            batch["missing"][row].tolist(),
            batch["insertable"][row].tolist(),
        )
        masked = (batch["input_ids"][row] == self.tokens.mask).tolist()
        for column, token in enumerate(target):
            if place >= len(ids):
                assert token == self.tokens.pad
                assert not free_gaps[column]
                assert gaps[column] == 0
                continue
            assert token == ids[place]
            assert answer[place] or not masked[column]
            assert free_gaps[column] == free[place]
            assert free[place] or gaps[column] == 0
            kept.append(place)
            place += 1 + gaps[column]
        assert place == len(ids)
        gone = set(range(len(ids))) - set(kept)
        assert all(answer[place] for place in gone)

    def check_prompt(
        self, batch: dict[str, Any], rows: list[list[int]], free: list[set[int]]
    ) -> None:
        """Check a batch for generation."""
        width = max(map(len, rows))
        pad = self.tokens.pad
        padded = [row + [pad] * (width - len(row)) for row in rows]
        assert batch["input_ids"].tolist() == padded
        attended = torch.tensor([[c < len(row) for c in range(width)] for row in rows])
        mask = batch["attention_mask"]
        assert attended.all() if mask is None else mask.equal(attended)
        found = [set(row.nonzero().flatten().tolist()) for row in batch["insertable"]]
        assert found == free

    def drawn(self) -> tuple[dict[str, Any], Tensor]:
        """Draw one row of three tokens many times; return token states (ROWS, 3)."""
        examples = [{"tokens": [5, 6, 7]}] * ROWS
        batch = self.collate("lm", examples, evaluation=True)
        fates = torch.zeros(ROWS, 3, dtype=torch.int64)
        masked = batch["input_ids"] == self.tokens.mask
        for place, token in enumerate((5, 6, 7)):
            here = batch["target_ids"] == token
            fates[:, place] += here.any(1).long() * 2 - (here & masked).any(1).long()
        return batch, fates

"""Tests of batches with masked tokens."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xlmgen.testing.schedule import noise_schedule
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import MAX_LENGTH, WHOLE, CollatorSubject

ROWS = 4000
LEAST = 1e-4
"""A correct collator has a lower p-value for one of 10⁴ seeds; the seed is fixed."""

GRID = 20_000

PARTS: dict[str, list[tuple[list[int], list[int], list[int] | None]]] = {
    "lm": [([], [5, 6, 7], None), ([], [7], None), ([], [6, 6], None)],
    "seq2seq": [
        ([5, 6, 7], [6, 7, 5], None),
        ([], [7], None),
        ([6], [5, 5], None),
    ],
    "infill": [
        ([], [5, 6, 7], [1, 0, 0]),
        ([], [7], [0]),
        ([], [6, 5], [0, 1]),
    ],
}
"""The examples as prompt, answer tokens, and which of these are given."""


class MaskingSubject(CollatorSubject):
    """Reference values of the collator's options."""

    @property
    def bos(self) -> int:
        return int(self.spec.collator.options["bos"])

    @property
    def replace(self) -> dict[str, float]:
        replace: dict[str, float] = self.spec.collator.options["replace"]
        return replace

    def rates(self) -> Any:
        """Quantiles of the masking probabilities of rows."""
        rate, even = self.spec.collator.options["rate"], (np.arange(GRID) + 0.5) / GRID
        if rate == "schedule":
            assert self.spec.noise_schedule is not None
            eps = self.spec.noise_schedule.options["sampling_eps"]
            t = torch.from_numpy(eps + (1 - eps) * even)
            return (1 - noise_schedule(self.spec).alpha(t)).numpy()
        if isinstance(rate, dict):
            low, high = rate["uniform"]
            return low + (high - low) * even
        return np.full(1, rate)

    def chosen(self, batch: dict[str, Any]) -> Tensor:
        """Return the selected positions of a batch, (B, L) bool."""
        chosen = torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
        chosen.view(-1)[batch["masked_positions"]] = True
        assert int(chosen.sum()) == len(batch["masked_positions"])
        return chosen

    def expected(self, use: str) -> tuple[list[list[int]], list[list[bool]]]:
        """Expected rows of the examples: ids, and which may be masked."""
        options = self.spec.collator.options
        end = [self.tokens.eos] if options["eos"] else []
        bos = [self.tokens.bos] * self.bos
        rows, answers = [], []
        for prompt, target, given in PARTS[use]:
            rest = target + end
            room = MAX_LENGTH.answer if use == "seq2seq" else WHOLE.answer - self.bos
            if options["padding"] == "predict":
                rest = rest + [self.tokens.pad] * (room - len(rest))
            start = prompt + bos
            free = [True] * len(rest)
            if given is not None:
                free = [not g for g in given] + [False] * (len(rest) - len(given))
            rows.append(start + rest)
            answers.append([False] * len(start) + free)
        width = max(map(len, rows))
        return (
            [row + [self.tokens.pad] * (width - len(row)) for row in rows],
            [answer + [False] * (width - len(answer)) for answer in answers],
        )

    def attended(self, use: str) -> list[list[bool]]:
        """Expected attention mask of these rows."""
        rows, answers = self.expected(use)
        if use == "infill" and self.spec.collator.options["padding"] == "predict":
            return [[True] * len(row) for row in rows]
        found = []
        for row, answer in zip(rows, answers, strict=True):
            real = [
                a or token != self.tokens.pad
                for token, a in zip(row, answer, strict=True)
            ]
            found.append(real)
        return found


class MaskingCollatorTests(MaskingSubject):
    """Masks agree with the fields of the batch and the probabilities of the spec."""

    def test_targets_are_clean_rows(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            rows, answer = self.expected(use)
            batch = self.collate(use)
            assert batch["target_ids"].tolist() == rows
            assert batch["maskable"].tolist() == answer

    def test_only_selected_answer_tokens_change(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            for seed in range(20):
                batch = self.collate(use, seed=seed)
                chosen = self.chosen(batch)
                assert not (chosen & ~batch["maskable"]).any()
                changed = batch["input_ids"] != batch["target_ids"]
                assert not (changed & ~chosen).any()
                if self.replace["mask"] == 1:
                    hidden = batch["input_ids"] == self.tokens.mask
                    assert hidden.equal(chosen)

    def test_pads_that_are_not_targets_are_not_attended(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            batch = self.collate(use)
            real = torch.tensor(self.attended(use))
            mask = batch["attention_mask"]
            assert real.all() if mask is None else mask.equal(real)

    def test_mask_patterns_have_expected_frequencies(self) -> None:
        """Masks are independent given the row's rate: all patterns of three tokens."""
        example = {"prompt": [5], "target": [5, 6, 7]}
        batch = self.collate("seq2seq", [example] * ROWS)
        start = 1 + self.bos
        chosen = self.chosen(batch)[:, start : start + 3]
        code = (chosen * torch.tensor([4, 2, 1])).sum(1)
        rates = self.rates()
        probs = [
            np.mean(np.prod([rates if hide else 1 - rates for hide in pattern], axis=0))
            for pattern in product((False, True), repeat=3)
        ]
        assert p_value(code.bincount(minlength=8), torch.tensor(probs)) > LEAST

    def test_selected_tokens_are_replaced_by_shares_of_spec(self) -> None:
        example = {"prompt": [5], "target": [5, 5, 5]}
        batch = self.collate("seq2seq", [example] * ROWS)
        chosen = self.chosen(batch) & (batch["target_ids"] == 5)
        seen = batch["input_ids"][chosen]
        share = self.replace["random"] / self.tokens.vocab_size
        probs = torch.full((self.tokens.vocab_size,), share, dtype=torch.float64)
        probs[self.tokens.mask] += self.replace["mask"]
        probs[5] += self.replace["keep"]
        counts = seen.bincount(minlength=self.tokens.vocab_size)
        assert len(seen) > 100
        assert p_value(counts, probs) > LEAST

    def test_other_seed_masks_other_tokens(self) -> None:
        example = {"tokens": [5, 6, 7]}
        one, other = (self.collate("lm", [example] * 50, seed=s) for s in (1, 2))
        assert not self.chosen(one).equal(self.chosen(other))

    def test_bos_of_packed_row_is_never_masked(self) -> None:
        bos = self.tokens.bos
        row = [bos, 5, 6, self.tokens.eos, 7]
        examples = [{"tokens": row, "packed": True}] * 50
        batch = self.collate("lm", examples)
        assert batch["target_ids"].tolist() == [row] * 50
        assert batch["maskable"].tolist() == [[False] + [True] * 4] * 50
        assert (batch["input_ids"][:, 0] == bos).all()

    def test_prompts_are_kept_and_answers_are_masked(self) -> None:
        batch = self.collate("predict")
        mask, pad = self.tokens.mask, self.tokens.pad
        for row, prompt in enumerate(([5, 6, 7], [], [6])):
            start = prompt + [self.tokens.bos] * self.bos
            width = batch["input_ids"].shape[1]
            rest = width - len(start) - MAX_LENGTH.answer
            assert batch["input_ids"][row].tolist() == (
                start + [mask] * MAX_LENGTH.answer + [pad] * rest
            )
            fillable = (
                [False] * len(start) + [True] * MAX_LENGTH.answer + [False] * rest
            )
            assert batch["fillable"][row].tolist() == fillable
            assert batch["attention_mask"][row].sum() == width - rest

    def test_answer_fills_limit_without_prompt(self) -> None:
        batch = self.collate("unconditional")
        start, answer = [self.tokens.bos] * self.bos, WHOLE.answer - self.bos
        row = start + [self.tokens.mask] * answer
        assert batch["input_ids"].tolist() == [row] * 3
        assert batch["attention_mask"] is None
        assert batch["fillable"].equal(batch["input_ids"] == self.tokens.mask)

    def test_only_holes_are_masked(self) -> None:
        rows, answer = self.expected("infill")
        batch = self.collate("predict_infill")
        holes = torch.tensor(answer)
        masked = torch.tensor(rows).masked_fill(holes, self.tokens.mask)
        assert batch["input_ids"].equal(masked)
        assert batch["fillable"].equal(holes)


class ScheduledMaskingTests(MaskingSubject):
    """Every row has a time and masks at the rate of that time."""

    def test_mask_rate_of_rows_follows_their_time(self) -> None:
        """Compares every tenth of the times with 1 − α(t); noise grows with time."""
        examples = [{"tokens": [5, 6, 7]}] * ROWS
        batch = self.collate("lm", examples, evaluation=True)
        t = batch["t"].double()
        rate = (1 - noise_schedule(self.spec).alpha(t))[:, None].expand(-1, 3)
        chosen = self.chosen(batch)[:, self.bos : self.bos + 3]
        for tenth in range(10):
            rows = ((t * 10).ceil() - 1).clamp(0, 9) == tenth
            expected = rate[rows].sum()
            error = (rate[rows] * (1 - rate[rows])).sum().sqrt()
            assert abs(chosen[rows].sum() - expected) <= 4.5 * error + 1e-3

    def test_times_cover_their_interval(self) -> None:
        """Evaluation may add rows at t = 0 for the reconstruction term."""
        for evaluation in (False, True):
            examples = [{"tokens": [5]}] * ROWS
            batch = self.collate("lm", examples, evaluation=evaluation)
            low = 0.0 if evaluation else self.eps
            t, time_weight = self.even_draws(batch)
            inside = t > 0
            nothing_at_start = noise_schedule(self.spec).noise(torch.zeros(())) == 0
            assert inside.all() == (nothing_at_start or not evaluation)
            assert low - 1e-6 <= t.min()
            assert t.max() <= 1
            places = (t[inside] - low) / (1 - low)
            cells = (places * 10).ceil().clamp(1, 10).long() - 1
            even = torch.full((10,), 0.1)
            assert p_value(cells.bincount(minlength=10), even) > LEAST
            # One over the density: the mean time weight is the interval's length.
            assert abs(time_weight[inside].sum() / ROWS - (1 - low)) < 0.02
            if not inside.all():
                assert abs(time_weight[~inside].sum() / ROWS - 1) < 0.1

    def test_antithetic_times_are_stratified_over_the_interval(self) -> None:
        size = 16
        batch = self.collate("lm", [{"tokens": [5]}] * size)
        places = (self.even_draws(batch)[0] - self.eps) / (1 - self.eps)
        shares = (places * size + 1e-4).floor() % size
        spread = len(set(shares.tolist()))
        part = self.spec.noise_schedule
        assert part is not None
        assert (spread == size) == part.options["antithetic"]

    def test_times_differ_between_batches(self) -> None:
        one, other = (self.collate("lm", seed=seed)["t"] for seed in (1, 2))
        assert not torch.equal(one, other)

    def even_draws(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The uniform draws (B,) that gave the times, and one over their density."""
        return batch["t"].double(), batch["time_weight"].double()

    @property
    def eps(self) -> float:
        assert self.spec.noise_schedule is not None
        return float(self.spec.noise_schedule.options["sampling_eps"])

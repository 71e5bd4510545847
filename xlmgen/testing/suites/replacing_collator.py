"""Tests of batches with uniform noise."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xlmgen.testing.schedule import noise_schedule
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import MAX_LENGTH, WHOLE
from xlmgen.testing.suites.masking_collator import (
    GRID,
    LEAST,
    ROWS,
    ScheduledMaskingTests,
)

RANDOM = 2000
"""Expected number of random tokens in many rows."""


class ReplacingCollatorTests(ScheduledMaskingTests):
    """Noise agrees with the fields of the batch, the schedule and the K tokens."""

    def chosen(self, batch: dict[str, Any]) -> Tensor:
        """Return the noised positions of a batch, (B, L) bool."""
        chosen = torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
        chosen.view(-1)[batch["noised_positions"]] = True
        assert int(chosen.sum()) == len(batch["noised_positions"])
        return chosen

    def test_targets_are_clean_rows(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            rows, answer = self.expected(use)
            batch = self.collate(use)
            assert batch["target_ids"].tolist() == rows
            assert batch["noisable"].tolist() == answer
            flat = batch["noisable"].flatten().nonzero().squeeze(1)
            assert batch["noisable_positions"].equal(flat)

    def test_only_noised_answer_tokens_change(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            for seed in range(20):
                batch = self.collate(use, seed=seed)
                chosen = self.chosen(batch)
                assert not (chosen & ~batch["noisable"]).any()
                changed = batch["input_ids"] != batch["target_ids"]
                assert not (changed & ~chosen).any()

    def test_pads_that_are_not_targets_are_not_attended(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            batch = self.collate(use)
            real = torch.tensor(self.attended(use))
            mask = batch["attention_mask"]
            assert real.all() if mask is None else mask.equal(real)

    def test_noise_patterns_have_expected_frequencies(self) -> None:
        """Noise is independent given the row's time: all patterns of three tokens."""
        batch = self.many()
        start = 1 + self.bos
        chosen = self.chosen(batch)[:, start : start + 3]
        code = (chosen * torch.tensor([4, 2, 1])).sum(1)
        rates = (1 - noise_schedule(self.spec).alpha(self.times())).numpy()
        probs = [
            np.mean(np.prod([rates if hit else 1 - rates for hit in pattern], axis=0))
            for pattern in product((False, True), repeat=3)
        ]
        assert p_value(code.bincount(minlength=8), torch.tensor(probs)) > LEAST

    def test_noised_tokens_are_uniform_over_ordinary_tokens(self) -> None:
        """The token's own value is as likely as any other."""
        batch = self.many()
        seen = batch["input_ids"][self.chosen(batch) & (batch["target_ids"] == 5)]
        seen = seen[seen != self.tokens.mask]
        probs = torch.zeros(self.tokens.vocab_size, dtype=torch.float64)
        probs[self.ordinary] = 1 / len(self.ordinary)
        assert len(seen) > RANDOM / 2
        counts = seen.bincount(minlength=self.tokens.vocab_size)
        assert p_value(counts, probs) > LEAST

    def test_masked_tokens_have_the_share_of_the_time(self) -> None:
        """None are in uniform noise."""
        batch = self.many()
        masked = (batch["input_ids"] == self.tokens.mask) & batch["noisable"]
        _, drawn = self.noise(batch["t"])
        chance = drawn[:, self.tokens.mask, None] * batch["noisable"]
        error = (chance * (1 - chance)).sum().sqrt()
        assert abs(masked.sum() - chance.sum()) <= 4.5 * error
        chosen = self.chosen(batch)
        assert not (masked & ~chosen).any()

    def test_noised_tokens_of_a_row_are_independent(self) -> None:
        batch = self.many()
        start = 1 + self.bos
        both = self.chosen(batch)[:, start : start + 2].all(1)
        ids = batch["input_ids"][both, start : start + 2]
        ids = ids[(ids != self.tokens.mask).all(1)]
        place = torch.full((self.tokens.vocab_size,), -1)
        place[self.ordinary] = torch.arange(len(self.ordinary))
        size = len(self.ordinary)
        code = place[ids[:, 0]] * size + place[ids[:, 1]]
        even = torch.full((size**2,), 1 / size**2, dtype=torch.float64)
        assert p_value(code.bincount(minlength=size**2), even) > LEAST

    def test_other_seed_noises_other_tokens(self) -> None:
        example = {"tokens": [5, 6, 7]}
        one, other = (self.collate("lm", [example] * 50, seed=s) for s in (1, 2))
        assert not self.chosen(one).equal(self.chosen(other))
        assert not one["input_ids"].equal(other["input_ids"])

    def test_bos_of_packed_row_is_never_noised(self) -> None:
        bos = self.tokens.bos
        row = [bos, 5, 6, self.tokens.eos, 7]
        batch = self.collate("lm", [{"tokens": row, "packed": True}] * 50)
        assert batch["target_ids"].tolist() == [row] * 50
        assert batch["noisable"].tolist() == [[False] + [True] * 4] * 50
        assert (batch["input_ids"][:, 0] == bos).all()

    def test_prompts_are_kept_and_answers_are_masked(self) -> None:
        batch = self.collate("predict")
        mask, pad = self.tokens.mask, self.tokens.pad
        for row, prompt in enumerate(([5, 6, 7], [], [6])):
            start = prompt + [self.tokens.bos] * self.bos
            width = batch["input_ids"].shape[1]
            rest = width - len(start) - MAX_LENGTH.answer
            ids = start + [mask] * MAX_LENGTH.answer + [pad] * rest
            assert batch["input_ids"][row].tolist() == ids
            fillable = (
                [False] * len(start) + [True] * MAX_LENGTH.answer + [False] * rest
            )
            assert batch["fillable"][row].tolist() == fillable

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

    def many(self) -> dict[str, Any]:
        """Collate rows of one prompt and three equal tokens, enough for the noise."""
        example = {"prompt": [5], "target": [5, 5, 5]}
        _, drawn = self.noise(self.times())
        chance = float(drawn[:, self.ordinary].sum(1).mean())
        return self.collate("seq2seq", [example] * max(ROWS, int(RANDOM / 3 / chance)))

    def times(self) -> Tensor:
        """Quantiles (GRID,) of the times of training, in float64."""
        even = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
        u = self.eps + (1 - self.eps) * even
        return u if self.noise.mask is None else u**4

    def even_draws(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """With hybrid noise t = u⁴, whose density is 1 / (4 u³)."""
        t, weight = super().even_draws(batch)
        if self.noise.mask is None:
            return t, weight
        u = t**0.25
        return u, weight / (4 * u**3)

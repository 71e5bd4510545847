"""Batches in which tokens are hidden."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xlmgen.testing.schedule import exact_ends, noise_schedule
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import BLOCK, WHOLE, CollatorSubject

ROWS = 4000
LEAST = 1e-4
"""A correct collator falls below this once in ten thousand seeds; ours is fixed."""

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
"""The examples as prompt, tokens to produce, and what is given of these."""


class MaskingSubject(CollatorSubject):
    """What the options of the collator mean, worked out without it."""

    @property
    def bos(self) -> int:
        return int(self.spec.collator.options["bos"])

    @property
    def replace(self) -> dict[str, float]:
        replace: dict[str, float] = self.spec.collator.options["replace"]
        return replace

    def rates(self) -> Any:
        """The rates that rows have, evenly spread over their distribution."""
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
        """(B, L) bool: the positions that the batch says were chosen."""
        chosen = torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
        chosen.view(-1)[batch["masked_at"]] = True
        assert int(chosen.sum()) == len(batch["masked_at"])
        return chosen

    def expected(self, use: str) -> tuple[list[list[int]], list[list[bool]]]:
        """Our examples as the spec lays them out: ids, and what may be masked."""
        options = self.spec.collator.options
        end = [self.tokens.eos] if options["eos"] else []
        bos = [self.tokens.bos] * self.bos
        rows, answers = [], []
        for prompt, target, given in PARTS[use]:
            rest = target + end
            room = BLOCK.answer if use == "seq2seq" else WHOLE.answer - self.bos
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
        """Which positions of those rows are tokens."""
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
    """What is hidden is what the batch says, as often as the spec says."""

    def test_targets_are_the_clean_rows(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            rows, answer = self.expected(use)
            batch = self.collate(use)
            assert batch["target_ids"].tolist() == rows
            assert batch["maskable"].tolist() == answer

    def test_only_chosen_tokens_of_the_answer_change(self) -> None:
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

    def test_pads_are_hidden_from_attention_where_they_are_no_targets(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            batch = self.collate(use)
            real = torch.tensor(self.attended(use))
            mask = batch["attention_mask"]
            assert real.all() if mask is None else mask.equal(real)

    def test_every_pattern_of_masks_is_as_likely_as_the_rate_says(self) -> None:
        """Independent given the row's rate: all patterns of three tokens."""
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

    def test_chosen_tokens_are_replaced_in_the_shares_of_the_spec(self) -> None:
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

    def test_another_seed_hides_other_tokens(self) -> None:
        example = {"tokens": [5, 6, 7]}
        one, other = (self.collate("lm", [example] * 50, seed=s) for s in (1, 2))
        assert not self.chosen(one).equal(self.chosen(other))

    def test_bos_of_a_packed_row_is_never_masked(self) -> None:
        bos = self.tokens.bos
        row = [bos, 5, 6, self.tokens.eos, 7]
        examples = [{"tokens": row, "packed": True}] * 50
        batch = self.collate("lm", examples)
        assert batch["target_ids"].tolist() == [row] * 50
        assert batch["maskable"].tolist() == [[False] + [True] * 4] * 50
        assert (batch["input_ids"][:, 0] == bos).all()

    def test_prompts_stay_and_every_answer_is_masked(self) -> None:
        batch = self.collate("predict")
        mask, pad = self.tokens.mask, self.tokens.pad
        for row, prompt in enumerate(([5, 6, 7], [], [6])):
            start = prompt + [self.tokens.bos] * self.bos
            width = batch["input_ids"].shape[1]
            rest = width - len(start) - BLOCK.answer
            assert batch["input_ids"][row].tolist() == (
                start + [mask] * BLOCK.answer + [pad] * rest
            )
            fillable = [False] * len(start) + [True] * BLOCK.answer + [False] * rest
            assert batch["fillable"][row].tolist() == fillable
            assert batch["attention_mask"][row].sum() == width - rest

    def test_without_a_prompt_the_block_is_the_sequence(self) -> None:
        batch = self.collate("unconditional")
        start, answer = [self.tokens.bos] * self.bos, WHOLE.answer - self.bos
        row = start + [self.tokens.mask] * answer
        assert batch["input_ids"].tolist() == [row] * 3
        assert batch["attention_mask"] is None
        assert batch["fillable"].equal(batch["input_ids"] == self.tokens.mask)

    def test_holes_are_masked_and_the_rest_is_given(self) -> None:
        rows, answer = self.expected("infill")
        batch = self.collate("predict_infill")
        holes = torch.tensor(answer)
        masked = torch.tensor(rows).masked_fill(holes, self.tokens.mask)
        assert batch["input_ids"].equal(masked)
        assert batch["fillable"].equal(holes)


class ScheduledMaskingTests(MaskingSubject):
    """A time for every row, and masks at the rate of that time."""

    def test_rows_are_masked_at_the_rate_of_their_time(self) -> None:
        """Per tenth of the times, against 1 − α(t); noise grows with time."""
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
        """Evaluation may add rows at t = 0, for what is masked there already."""
        for evaluation in (False, True):
            examples = [{"tokens": [5]}] * ROWS
            batch = self.collate("lm", examples, evaluation=evaluation)
            low = 0.0 if evaluation else self.eps
            t, span = batch["t"].double(), batch["span"].double()
            inside = t > 0
            assert inside.all() == (exact_ends(self.spec) or not evaluation)
            assert low - 1e-6 <= t.min()
            assert t.max() <= 1
            places = (t[inside] - low) / (1 - low)
            cells = (places * 10).ceil().clamp(1, 10).long() - 1
            even = torch.full((10,), 0.1)
            assert p_value(cells.bincount(minlength=10), even) > LEAST
            # One over the density: the rows inside stand for the whole interval.
            assert abs(span[inside].sum() / ROWS - (1 - low)) < 0.02
            if not inside.all():
                assert abs(span[~inside].sum() / ROWS - 1) < 0.1

    def test_antithetic_times_fall_into_every_share_of_the_interval(self) -> None:
        size = 16
        batch = self.collate("lm", [{"tokens": [5]}] * size)
        places = (batch["t"].double() - self.eps) / (1 - self.eps)
        shares = (places * size + 1e-4).floor() % size
        spread = len(set(shares.tolist()))
        part = self.spec.noise_schedule
        assert part is not None
        assert (spread == size) == part.options["antithetic"]

    def test_times_differ_between_batches(self) -> None:
        one, other = (self.collate("lm", seed=seed)["t"] for seed in (1, 2))
        assert not torch.equal(one, other)

    @property
    def eps(self) -> float:
        assert self.spec.noise_schedule is not None
        return float(self.spec.noise_schedule.options["sampling_eps"])

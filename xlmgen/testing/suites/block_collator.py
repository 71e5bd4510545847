"""Tests of batches whose blocks are masked at their own rates."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from xlmgen.testing.blocks import SIZES, BlockSubject
from xlmgen.testing.schedule import noise_schedule
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import EXAMPLES, MAX_LENGTH, WHOLE, CollatorSubject
from xlmgen.testing.toy import seeded

ROWS = 4000
LEAST = 1e-4
"""A correct collator has a lower p-value for one of 10⁴ seeds; the seed is fixed."""

EVEN = (np.arange(20_000) + 0.5) / 20_000


class BlockMaskingCollatorTests(BlockSubject, CollatorSubject):
    """Masks agree with the fields of the batch, block by block."""

    @pytest.mark.parametrize("size", [*SIZES, 50])
    def test_row_layout_matches_spec(self, size: int) -> None:
        """PAD fills the last block, and no block exceeds the task's limit."""
        for use in ("lm", "seq2seq"):
            batch = self.sized(use, size)
            contexts, answers = self.expected(use, size)
            width = max(map(len, contexts)), max(map(len, answers))
            pad = self.tokens.pad
            for row, (context, answer) in enumerate(
                zip(contexts, answers, strict=True)
            ):
                left = [pad] * (width[0] - len(context))
                right = [pad] * (width[1] - len(answer))
                ids = [*left, *context, *answer, *right]
                real = [False] * len(left) + [True] * len(context + answer)
                real += [False] * len(right)
                assert batch["clean_ids"][row].tolist() == ids
                mask = batch["attention_mask"]
                assert all(real) if mask is None else mask[row].tolist() == real
                assert batch["maskable"][row].tolist() == real[width[0] :]
            assert batch["block_size"] == size

    def test_block_size_matches_spec(self) -> None:
        size = self.spec.collator.options["block_size"]
        for use in self.family.collators:
            assert self.collate(use)["block_size"] == size

    def test_only_selected_answer_tokens_are_masked(self) -> None:
        for use in ("lm", "seq2seq"):
            for seed in range(20):
                batch = self.collate(use, seed=seed)
                clean = batch["clean_ids"][:, -batch["input_ids"].shape[1] :]
                chosen = torch.zeros_like(batch["maskable"])
                chosen.view(-1)[batch["masked_positions"]] = True
                assert int(chosen.sum()) == len(batch["masked_positions"])
                assert not (chosen & ~batch["maskable"]).any()
                hidden = clean.masked_fill(chosen, self.tokens.mask)
                assert batch["input_ids"].equal(hidden)

    @pytest.mark.parametrize("size", SIZES)
    def test_every_block_has_its_own_time(self, size: int) -> None:
        t = self.sized("lm", size, [{"tokens": [5] * 3}] * 50)["t"]
        first = torch.arange(t.shape[1]) // size * size
        assert t.equal(t[:, first])
        for one, other in product(range(0, t.shape[1], size), repeat=2):
            if one != other:
                assert (t[:, one] != t[:, other]).float().mean() > 0.9

    @pytest.mark.parametrize("evaluation", [False, True])
    def test_times_cover_the_interval_of_the_spec(self, evaluation: bool) -> None:
        """Every block has its own time, and `time_weight` is one over their density."""
        low, high = self.times(evaluation)
        rows = [{"tokens": [5] * 3}] * ROWS
        batch = self.sized("lm", 2, rows, evaluation=evaluation)
        assert batch["time_weight"] == pytest.approx(high - low)
        for column in (0, 2):
            share = (batch["t"][:, column].double() - low) / (high - low)
            assert ((share > 0) & (share <= 1)).all()
            counts = (share * 20).ceil().long().bincount(minlength=21)[1:]
            assert p_value(counts, torch.full((20,), 0.05)) > LEAST

    def test_antithetic_times_are_stratified_over_rows_and_batch(self) -> None:
        assert self.spec.noise_schedule is not None
        if not self.spec.noise_schedule.options["antithetic"]:
            pytest.skip("times are drawn independently")
        low, high = self.times(evaluation=False)
        t = self.sized("lm", 2, [{"tokens": [5] * 3}] * 8)["t"][:, ::2]
        for times in (t.flatten(), *t):
            step = (high - low) / len(times)
            gaps = times.sort().values.diff()
            torch.testing.assert_close(gaps, torch.full_like(gaps, step))

    def test_mask_patterns_of_a_block_have_expected_frequencies(self) -> None:
        """Masks are independent given the block's rate: all patterns of two tokens."""
        batch = self.sized("lm", 2, [{"tokens": [5] * 3}] * ROWS)
        hidden = batch["input_ids"] == self.tokens.mask
        low, high = self.times(evaluation=False)
        t = torch.from_numpy(low + (high - low) * EVEN)
        rates = (1 - noise_schedule(self.spec).alpha(t)).numpy()
        for block in (hidden[:, :2], hidden[:, 2:4]):
            code = (block * torch.tensor([2, 1])).sum(1)
            probs = [
                np.mean(np.prod([rates if h else 1 - rates for h in pattern], axis=0))
                for pattern in product((False, True), repeat=2)
            ]
            assert p_value(code.bincount(minlength=4), torch.tensor(probs)) > LEAST

    def test_other_seed_masks_other_tokens(self) -> None:
        rows = [{"tokens": [5, 6, 7]}] * 50
        one, other = (self.collate("lm", rows, seed=s)["input_ids"] for s in (1, 2))
        assert not one.equal(other)

    def test_prompts_are_followed_by_masks_only(self) -> None:
        batch = self.collate("predict")
        mask, pad, bos = self.tokens.mask, self.tokens.pad, self.tokens.bos
        answer = [mask] * MAX_LENGTH.answer
        assert batch["context"] == 4
        assert batch["input_ids"].tolist() == [
            [5, 6, 7, bos, *answer],
            [pad, pad, pad, bos, *answer],
            [pad, pad, 6, bos, *answer],
        ]
        assert batch["fillable"].equal(batch["input_ids"] == mask)
        assert batch["attention_mask"].equal(batch["input_ids"] != pad)

    def test_given_beginning_of_sequence_is_in_first_blocks(self) -> None:
        """As in training, the first block begins after BOS."""
        examples: list[dict[str, Any]] = [{"prompt": [5, 6]}, {}]
        batch = self.collate("unconditional", examples)
        mask, bos = self.tokens.mask, self.tokens.bos
        assert batch["context"] == 1
        assert batch["attention_mask"] is None
        assert batch["input_ids"].tolist() == [
            [bos, 5, 6, mask, mask],
            [bos, mask, mask, mask, mask],
        ]
        assert batch["fillable"].equal(batch["input_ids"] == mask)

    def test_context_of_packed_row_is_bos(self) -> None:
        bos, eos = self.tokens.bos, self.tokens.eos
        rows = [{"tokens": [bos, 5, eos, 6, 7], "packed": True}] * 2
        batch = self.collate("lm", rows)
        assert batch["clean_ids"].tolist() == [rows[0]["tokens"]] * 2
        assert batch["input_ids"].shape == (2, 4)
        start = self.collate("unconditional", [{"packed": True}])
        assert start["context"] == 1
        assert start["input_ids"][0, 0] == bos

    def times(self, evaluation: bool) -> tuple[float, float]:
        """Interval of the times."""
        clip = self.spec.collator.options["clip"]
        if evaluation:
            return 0.0, 1.0
        if clip is not None:
            return float(clip[0]), float(clip[1])
        assert self.spec.noise_schedule is not None
        return float(self.spec.noise_schedule.options["sampling_eps"]), 1.0

    def sized(
        self,
        use: str,
        size: int,
        examples: list[dict[str, Any]] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Collate a batch with another block size than the spec's."""
        collator = type("Sized", (self.family.collators[use],), {"block_size": size})
        max_length = MAX_LENGTH if use == "seq2seq" else WHOLE
        collate = collator(self.tokens, max_length, **options)
        batch: dict[str, Any] = collate(examples or EXAMPLES[use], seeded(0))
        return batch

    def expected(self, use: str, size: int) -> tuple[list[list[int]], list[list[int]]]:
        """Expected contexts and answers of the examples."""
        contexts, answers = [], []
        for example in EXAMPLES[use]:
            contexts.append([*example.get("prompt", []), self.tokens.bos])
            answer = [*example.get("target", example.get("tokens", []))]
            answer.append(self.tokens.eos)
            room = MAX_LENGTH.answer if use == "seq2seq" else WHOLE.answer - 1
            while len(answer) % size and len(answer) < room:
                answer.append(self.tokens.pad)
            answers.append(answer)
        return contexts, answers

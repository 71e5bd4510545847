"""Tests of generation block by block."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.runtime.generation import Generation
from xlmgen.testing.blocks import SIZES, BlockOracle, BlockSubject
from xlmgen.testing.law import Step, sampler_law
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import ancestral_steps
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.model import call, takes_time
from xlmgen.testing.suites.predictor import LEAST, PROMPTS, Batch, Prompts
from xlmgen.testing.suites.unmasking import UnmaskingSubject
from xlmgen.testing.toy import ANSWER, Toy

REPEAT = 3000


class BlockUnmaskingSubject(BlockSubject, UnmaskingSubject):
    """A blockwise predictor, with prompts that are built without the collator."""

    @property
    def plain(self) -> dict[str, Any]:
        return super().plain | {"max_length": None}

    @property
    def ancestral(self) -> bool:
        """Whether the number of reveals per pass is random."""
        random = self.options["order"] == "random" and self.options["growth"] is None
        return random and not self.options["first_hitting"]

    def prompts(
        self, prompts: Prompts, repeat: int = 1, *, size: int | None = None
    ) -> Batch:
        """Build `prompt [BOS]`, padded on the left, then MASK for the answer."""
        batch = self.left_padded(prompts, repeat)
        context = batch["input_ids"].shape[1]
        room = batch["input_ids"].new_full((len(prompts) * repeat, ANSWER), 1)
        ids = torch.cat((batch["input_ids"], room * self.tokens.mask), dim=1)
        mask = batch["attention_mask"]
        return {
            "input_ids": ids,
            "attention_mask": None
            if mask is None
            else torch.cat((mask, room.bool()), dim=1),
            "fillable": ids == self.tokens.mask,
            "context": context,
            "block_size": size or self.spec.collator.options["block_size"],
        }

    def oracle(self, toy: Toy) -> BlockOracle:
        return BlockOracle(
            toy,
            self.tokens.vocab_size,
            self.tokens.mask,
            self.tokens.pad,
            self.suppress_tokens,
        )

    def start(self, batch: Batch, out: Generation) -> Tensor:
        ids: Tensor = batch["input_ids"].masked_fill(batch["fillable"], self.tokens.pad)
        return ids

    def drawn(
        self, size: int, **numbers: Any
    ) -> list[tuple[tuple[int, ...], Toy, Tensor]]:
        """Generate answers (N, ANSWER) for every prompt of the toy."""
        toy = self.block_toy(size)
        prompts = sorted(set(toy.prompts))
        batch = self.prompts(prompts, REPEAT, size=size)
        out = self.generate(self.oracle(toy), batch, **numbers)
        answers = torch.split(out.ids[:, batch["context"] :], REPEAT)
        return [
            (prompt, toy, part) for prompt, part in zip(prompts, answers, strict=True)
        ]


class BlockUnmaskingTests(BlockUnmaskingSubject):
    """Exact samples of any length, a correct cache, and rows that end."""

    @pytest.mark.parametrize("size", SIZES)
    def test_one_reveal_per_pass_samples_exact_distribution(self, size: int) -> None:
        """Answers have all lengths; the order within a block does not matter."""
        if size > 1 and self.ancestral:
            return  # the number of reveals is random; the distribution is tested below
        for prompt, toy, drawn in self.drawn(size, **self.one_at_a_time):
            law = toy.padded_law(prompt, self.tokens.pad, self.tokens.vocab_size)
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_greedy_generation_equals_loop_without_cache(self) -> None:
        """Blocks have one token; each row is computed alone, without a cache."""
        model, batch = self.network(), self.prompts(PROMPTS, size=1)
        if takes_time(model):
            return  # and the time at which a token is revealed is random
        out = self.generate(model, batch, temperature=0.0, **self.one_at_a_time)
        for row, prompt in enumerate(PROMPTS):
            ids = torch.tensor([[*prompt, self.tokens.bos]])
            answer: list[int] = []
            while len(answer) < ANSWER and self.tokens.eos not in answer:
                hidden = torch.full((1, len(answer) + 1), self.tokens.mask)
                clean = torch.cat((ids, torch.tensor([[*answer, 5]])), dim=1)
                logits = call(model, hidden, clean_ids=clean, block_size=1)[0, -1]
                logits = logits.detach()
                logits[list(self.suppress_tokens)] = -torch.inf
                answer.append(int(logits.argmax()))
            assert out.ids[row][out.generated[row]].tolist() == answer

    def test_rows_end_independently(self) -> None:
        """A row ends with the block of its first EOS; later tokens are PAD."""
        for size in SIZES:
            toy = self.block_toy(size)
            batch = self.prompts(PROMPTS, repeat=50, size=size)
            out = self.generate(self.oracle(toy), batch)
            lengths = set()
            for ids, generated in zip(out.ids, out.generated, strict=True):
                answer = ids[batch["context"] :].tolist()
                eos = self.tokens.eos
                end = answer.index(eos) if eos in answer else ANSWER - 1
                reached = min((end // size + 1) * size, ANSWER)
                made = generated[batch["context"] :].tolist()
                assert made == [True] * reached + [False] * (ANSWER - reached)
                assert set(answer[reached:]) <= {self.tokens.pad}
                lengths.add(reached)
            assert len(lengths) == -(-ANSWER // size)

    def test_given_eos_does_not_end_row(self) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 30.0
        model = FixedLogits(self.toy(), logits)
        batch = self.prompts([(2,), (5, 2), (2, 2)], size=1)
        first = batch["context"]
        batch["input_ids"][0, first] = self.tokens.eos
        batch["fillable"][0, first] = False
        out = self.generate(model, batch)
        assert out.answers(self.tokens.eos) == [[7] * 2, [7] * 3, [7] * 3]

    @pytest.mark.parametrize("size", SIZES)
    def test_given_beginning_is_kept_and_continued(self, size: int) -> None:
        """Given tokens of a block are visible from the start."""
        if self.planned and size > 1:
            return  # probable tokens are preferred
        toy, given = self.block_toy(size), 6
        batch = self.prompts([(5,), (6,)], 1000, size=size)
        context = batch["context"]
        batch["input_ids"][:, context] = given
        batch["fillable"][:, context] = False
        out = self.generate(self.oracle(toy), batch, **self.one_at_a_time)
        assert (out.ids[:, context] == given).all()
        for place, prompt in enumerate([(5,), (6,)]):
            drawn = out.ids[place * 1000 : (place + 1) * 1000, context + 1]
            law = torch.zeros(self.tokens.vocab_size, dtype=torch.float64)
            for row, chance in enumerate(toy.given(prompt)):
                answer = toy.rows[row][toy.answer[row]].tolist()
                if answer[0] == given:
                    law[answer[1]] += chance
            counts = drawn.bincount(minlength=self.tokens.vocab_size)
            assert p_value(counts, law / law.sum()) > LEAST

    def test_finished_blocks_are_read_once(self) -> None:
        """One pass for the context, then per block its steps and one for the cache."""
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 30.0
        model = FixedLogits(self.toy(), logits)
        batch = self.prompts(PROMPTS, size=1)
        out = self.generate(model, batch, **self.one_at_a_time)
        rows = len(PROMPTS)
        assert model.shapes[0] == (rows, batch["context"])
        assert set(model.shapes[1:]) == {(rows, 1)}
        assert out.forward_passes == model.calls
        if not self.ancestral:
            assert model.calls == 2 * ANSWER

    def test_finished_rows_leave_the_batch(self) -> None:
        toy = self.block_toy(1)
        oracle = self.oracle(toy)
        out = self.generate(oracle, self.prompts(PROMPTS, repeat=50, size=1))
        still = [int(out.generated[:, -place].sum()) for place in range(ANSWER, 0, -1)]
        assert still[0] == 150
        assert still[-1] < 150
        assert {shape[0] for shape in oracle.shapes} == set(still)

    @pytest.mark.parametrize("length", [1, 2, 7])
    def test_max_length_limits_answers(self, length: int) -> None:
        """`max_length` may exceed the task's limit."""
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 30.0
        model = FixedLogits(self.toy(), logits)
        batch = self.prompts(PROMPTS, size=2)
        out = self.generate(model, batch, max_length=length)
        assert out.answers(self.tokens.eos) == [[7] * length] * 3
        assert out.ids.shape[1] == batch["context"] + length

    def test_times_decrease_from_noise_to_data(self) -> None:
        """Times decrease in every block; finished blocks are read at time 0."""
        if not takes_time(self.network()):
            return
        oracle = self.oracle(self.block_toy(2))
        numbers = self.one_at_a_time | ({"eta": 0.0} if self.eta else {})
        self.generate(oracle, self.prompts([(5,)], size=2), **numbers)
        times = [float(t.flatten()[0]) for t in oracle.times]
        assert times[0] == 0
        assert all(0 <= t <= 1 for t in times)
        assert any(t > 0 for t in times)
        assert all(then < now or now == 0 for now, then in pairwise(times[1:]))

    def test_steps_limit_passes_per_block(self) -> None:
        """There are at most as many passes as steps, or as tokens if each takes one."""
        batch = self.prompts(PROMPTS, size=2)
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 30.0
        model, blocks = FixedLogits(self.toy(), logits), 2
        numbers: dict[str, Any] = {"eta": 0.0} if self.eta else {}
        for steps in (1, 2, 50):
            numbers |= {"steps": steps} if self.stepped else self.one_at_a_time
            out = self.generate(model, batch, **numbers)
            most = min(steps, 2 * len(PROMPTS)) if self.stepped else 2
            if self.planned:  # every step compares tokens
                most = steps
            assert out.forward_passes <= blocks * (most + 1)
            assert not (out.ids == self.tokens.mask).any()


class BlockAncestralTests(BlockUnmaskingSubject):
    """Within a block, all masked tokens are revealed with the same probability."""

    @pytest.mark.parametrize("steps", [1, 4])
    @pytest.mark.parametrize("size", SIZES)
    def test_samples_follow_the_exact_distribution_of_few_steps(
        self, size: int, steps: int
    ) -> None:
        """The exact distribution includes the error of several reveals per step."""
        oracle = self.oracle(self.block_toy(size))
        model = Whole(oracle, size)
        areas = [
            range(start, min(start + size, ANSWER)) for start in range(0, ANSWER, size)
        ]
        one_block = ancestral_steps(self.spec, 1, steps, None, self.eta)
        plan = [
            Step(area, step.reveal, step.remask) for area in areas for step in one_block
        ]
        for prompt, _, drawn in self.drawn(size, steps=steps):
            batch = self.prompts([prompt], size=size)
            law = sampler_law(
                model,
                batch["input_ids"][0],
                batch["fillable"][0],
                plan,
                mask=self.tokens.mask,
                suppress_tokens=self.suppress_tokens,
                vocab_size=self.tokens.vocab_size,
            )
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST


class Whole(torch.nn.Module):
    """Adapter of a block oracle that is called on full rows."""

    def __init__(self, oracle: BlockOracle, size: int) -> None:
        super().__init__()
        self.oracle, self.size = oracle, size

    def forward(self, ids: Tensor) -> Tensor:
        """Args: ids (B, L) without pads. Returns: (B, L, V)"""
        answer = self.oracle(ids[:, -ANSWER:], clean_ids=ids, block_size=self.size)
        context = answer.new_zeros(len(ids), ids.shape[1] - ANSWER, answer.shape[-1])
        return torch.cat((context, answer), dim=1)

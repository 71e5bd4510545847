"""Generation by filling in masks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.model import takes_time
from xlmgen.testing.suites.predictor import (
    LEAST,
    PROMPTS,
    Batch,
    PredictorSubject,
)
from xlmgen.testing.toy import ANSWER, Toy

REPEAT = 3000


OFF: dict[str, Any] = dict.fromkeys(
    (
        *("order", "threshold", "entropy_bound", "first_hitting"),
        *("block", "remask", "guidance", "steps", "rank_by"),
    )
)
"""Options that a kind need not have."""


class UnmaskingSubject(PredictorSubject):
    """What the options of an unmasking predictor come to."""

    @property
    def options(self) -> Any:
        return OFF | dict(self.spec.predictor.options)

    @property
    def stepped(self) -> bool:
        """Whether the predictor takes a number of steps."""
        adaptive = ("threshold", "entropy_bound", "first_hitting")
        free = any(self.options[key] not in (None, False) for key in adaptive)
        return not free and "steps" in self.spec.predictor.options

    @property
    def one_at_a_time(self) -> dict[str, Any]:
        """Numbers under which a forward pass reveals one token of a row."""
        if self.options["threshold"] is not None:
            return {"threshold": 1.1}
        if self.options["entropy_bound"] is not None:
            return {"entropy_bound": 0.0}
        if not self.stepped:
            return {}
        return {"steps": (12 if self.options["order"] == "random" else 2) * ANSWER}

    def samples(
        self, toy: Toy, *, alone: bool = False, **numbers: Any
    ) -> list[tuple[tuple[int, ...], Tensor]]:
        """For every prompt, the answers (N, n) drawn behind it; all in one batch.

        Args:
            alone: only rows of which no forward pass revealed two tokens. When a token
                is revealed says nothing about it, so that this leaves the law alone.
        """
        prompts = sorted(set(toy.prompts))
        batch = self.prompts(prompts, REPEAT)
        out = self.generate(self.oracle(toy), batch, trace=alone, **numbers)
        answers = out.ids[batch["fillable"]].view(-1, ANSWER)
        kept = torch.ones(len(answers), dtype=torch.bool)
        if alone:
            assert out.trace is not None
            revealed = out.trace.token != self.tokens.mask
            row, step = out.trace.row[revealed], out.trace.step[revealed]
            number = torch.zeros(len(answers), int(step.max()) + 1)
            number.index_put_((row, step), torch.ones(len(row)), accumulate=True)
            kept = (number <= 1).all(1)
        return [
            (prompt, drawn[keep])
            for prompt, drawn, keep in zip(
                prompts,
                answers.view(-1, REPEAT, ANSWER),
                kept.view(-1, REPEAT),
                strict=True,
            )
        ]

    def row(self, prompt: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The canvas of one prompt without padding: ids (L,), fillable (L,)."""
        batch = self.prompts([prompt])
        return batch["input_ids"][0], batch["fillable"][0]

    def holes(self) -> Batch:
        """Whole rows of one length with holes: one, two (apart) and three."""
        mask = self.tokens.mask
        ids = torch.tensor(
            [[5, mask, 6, 7, 5], [mask, 6, 7, mask, 5], [5, mask, mask, mask, 7]]
        )
        fillable = ids == mask
        return {"input_ids": ids, "attention_mask": None, "fillable": fillable}


class UnmaskingTests(UnmaskingSubject):
    """Every mask is filled, within the budget, and nothing else is touched."""

    def test_every_mask_is_filled_and_nothing_else(self) -> None:
        batch = self.holes()
        for seed in range(10):
            out = self.generate(self.network(seed), batch, seed=seed)
            assert not (out.ids == self.tokens.mask).any()
            given = ~batch["fillable"]
            assert out.ids[given].equal(batch["input_ids"][given])
            assert out.generated.equal(batch["fillable"])

    def test_every_mask_is_filled_with_the_familys_own_numbers(self) -> None:
        batch = self.holes()
        predictor = self.family.predictor(self.tokens)
        out = predictor.generate(self.network(), batch)
        assert not (out.ids == self.tokens.mask).any()

    def test_every_mask_is_written_once(self) -> None:
        """A finished row changes no more while others of the batch go on."""
        batch = self.holes()
        numbers = {"eta": 0.0} if self.options["remask"] else {}
        for seed in range(10):
            out = self.generate(
                self.network(seed), batch, seed=seed, trace=True, **numbers
            )
            assert out.trace is not None
            written = torch.zeros_like(batch["input_ids"])
            place = (out.trace.row, out.trace.position)
            written.index_put_(place, torch.ones_like(place[0]), accumulate=True)
            assert written.equal(batch["fillable"].long())

    def test_budget_is_kept(self) -> None:
        """No more passes than steps, nor than tokens where each takes one."""
        batch = self.holes()
        each = 2 if self.options["guidance"] is not None else 1
        if not self.stepped:
            out = self.generate(self.network(), batch, **self.one_at_a_time)
            assert out.forward_passes <= each * int(batch["fillable"].sum(1).max())
            return
        parts = 2 if self.options["block"] else 1
        for steps in (2, 3, 50):
            out = self.generate(self.network(), batch, steps=steps)
            assert out.forward_passes <= each * max(steps, parts)

    def test_a_pass_without_a_reveal_is_left_out(self) -> None:
        each = 2 if self.options["guidance"] is not None else 1
        numbers: dict[str, Any] = {"steps": 200} if self.stepped else {}
        numbers |= {"eta": 0.0} if self.options["remask"] else {}
        out = self.generate(self.network(), self.holes(), trace=True, **numbers)
        assert out.trace is not None
        steps = len(set(out.trace.step.tolist()))
        blocks = 2 if self.options["block"] else 1
        assert each * steps <= out.forward_passes <= each * steps * blocks

    def test_one_reveal_per_pass_samples_the_distribution(self) -> None:
        """Exact whatever the order: it looks at distributions, not at draws."""
        toy, numbers = self.toy(), self.one_at_a_time
        if self.options["remask"]:  # seldom, so that few tokens come back together
            numbers["eta"] = min(self.eta, 0.02)
        for prompt, drawn in self.samples(toy, alone=True, **numbers):
            assert len(drawn) > REPEAT / 5
            law = torch.zeros((self.tokens.vocab_size,) * ANSWER, dtype=torch.float64)
            full = len(self.row(prompt)[0])
            chances = toy.given(prompt) * (toy.lengths == full)
            for row, chance in enumerate(chances / chances.sum()):
                if chance > 0:
                    law[tuple(toy.rows[row][toy.answer[row]].tolist())] += chance
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_network_is_told_times_that_run_from_noise_to_clean(self) -> None:
        if not takes_time(self.network()):
            return
        oracle = self.oracle(self.toy())
        batch = self.prompts([(5,)])
        numbers = self.one_at_a_time if not self.stepped else {"steps": 60}
        self.generate(oracle, batch, **numbers | ({"eta": 0.0} if self.eta else {}))
        times = [float(t[0]) for t in oracle.times]
        assert len(times) > 1
        assert all(0 <= t <= 1 for t in times)
        assert times == sorted(times, reverse=True)
        assert times[0] > times[-1]

    def test_more_than_one_prompt_length_and_no_prompt(self) -> None:
        batch = self.prompts([(), *PROMPTS], repeat=2)
        out = self.generate(self.network(), batch)
        assert not (out.ids == self.tokens.mask).any()

    def test_nothing_to_fill_takes_no_pass(self) -> None:
        ids = torch.tensor([[5, 6, 7]])
        batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": torch.zeros_like(ids, dtype=torch.bool),
        }
        out = self.generate(self.network(), batch)
        assert out.forward_passes == 0
        assert out.ids.equal(ids)


class GuidanceTests(UnmaskingSubject):
    """Classifier-free guidance: (1 + g) · with the prompt − g · without."""

    def test_guided_logits_are_extrapolated(self) -> None:
        """One hole in a row of which the rest is given."""
        toy, mask = self.toy(), self.tokens.mask
        ids, fillable = self.row((5,))
        whole = next(
            row[: len(ids)]
            for row, prompt, length in zip(
                toy.rows, toy.prompts, toy.lengths, strict=True
            )
            if prompt == (5,) and length == len(ids)
        )
        hole = torch.zeros_like(fillable)
        hole[int(fillable.long().argmax())] = True
        ids = whole.masked_fill(hole, mask)[None]
        batch = {
            "input_ids": ids.repeat(REPEAT, 1),
            "attention_mask": None,
            "fillable": hole.repeat(REPEAT, 1),
        }
        oracle = self.oracle(toy)
        with_prompt = oracle(ids)[0, hole][0].double()
        without = oracle(torch.full_like(ids, mask))[0, hole][0].double()
        for strength in (0.0, 0.7):
            logits = (1 + strength) * with_prompt - strength * without
            logits[list(self.never)] = -torch.inf
            out = self.generate(oracle, batch, guidance=strength)
            drawn = out.ids[batch["fillable"]]
            counts = drawn.bincount(minlength=self.tokens.vocab_size)
            assert p_value(counts, logits.softmax(0)) > LEAST

"""Tests of generation by unmasking."""

from __future__ import annotations

from typing import Any

import pytest
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
        *("decoding_block", "remask", "guidance", "steps", "rank_by", "stable"),
        *("growth", "cache"),
    )
)
"""Options that not all kinds have."""


class UnmaskingSubject(PredictorSubject):
    """Reference values of an unmasking predictor's options."""

    @property
    def options(self) -> Any:
        return OFF | dict(self.spec.predictor.options)

    @property
    def stepped(self) -> bool:
        """Whether the predictor has a number of steps."""
        keys = ("threshold", "entropy_bound", "first_hitting")
        adaptive = [self.options[key] for key in keys]  # a bound may be 0
        free = any(value is not None and value is not False for value in adaptive)
        return not free and "steps" in self.spec.predictor.options

    @property
    def one_at_a_time(self) -> dict[str, Any]:
        """Options with which a forward pass reveals one token per row."""
        if self.options["threshold"] is not None:
            return {"threshold": 1.1}
        if self.options["entropy_bound"] is not None:
            return {"entropy_bound": 0.0}
        if not self.stepped:
            return {}
        if self.options["growth"] is not None:
            return {"steps": ANSWER, "growth": 1.0}
        return {"steps": (12 if self.options["order"] == "random" else 2) * ANSWER}

    def samples(
        self, toy: Toy, *, alone: bool = False, **numbers: Any
    ) -> list[tuple[tuple[int, ...], Tensor]]:
        """Generate answers (N, n) for every prompt, all in one batch.

        Args:
            alone: keep only rows in which no forward pass revealed two tokens. The time
                of a reveal is independent of the token, so this selection does not bias
                the distribution.
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
        """Return the row of one prompt without padding: ids (L,), fillable (L,)."""
        batch = self.prompts([prompt])
        return batch["input_ids"][0], batch["fillable"][0]

    def holes(self) -> Batch:
        """Build rows of one length with one, two (not adjacent) and three holes."""
        mask = self.tokens.mask
        ids = torch.tensor(
            [[5, mask, 6, 7, 5], [mask, 6, 7, mask, 5], [5, mask, mask, mask, 7]]
        )
        fillable = ids == mask
        return {"input_ids": ids, "attention_mask": None, "fillable": fillable}


class UnmaskingTests(UnmaskingSubject):
    """Every mask is filled within the budget, and nothing else changes."""

    def test_only_masks_are_filled(self) -> None:
        batch = self.holes()
        for seed in range(10):
            out = self.generate(self.network(seed), batch, seed=seed)
            assert not (out.ids == self.tokens.mask).any()
            given = ~batch["fillable"]
            assert out.ids[given].equal(batch["input_ids"][given])
            assert out.generated.equal(batch["fillable"])

    def test_default_options_fill_every_mask(self) -> None:
        batch = self.holes()
        predictor = self.family.predictor(self.tokens)
        out = predictor.generate(self.network(), batch)
        assert not (out.ids == self.tokens.mask).any()

    def test_every_mask_is_revealed_once(self) -> None:
        """A finished row does not change while others of the batch continue."""
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

    def test_passes_are_within_budget(self) -> None:
        """There are at most as many passes as steps, or as tokens if each takes one."""
        batch = self.holes()
        each = 2 if self.options["guidance"] is not None else 1
        if not self.stepped:
            out = self.generate(self.network(), batch, **self.one_at_a_time)
            assert out.forward_passes <= each * int(batch["fillable"].sum(1).max())
            return
        parts = 2 if self.options["decoding_block"] else 1
        for steps in (2, 3, 50):
            out = self.generate(self.network(), batch, steps=steps)
            assert out.forward_passes <= each * max(steps, parts)

    def test_passes_without_reveals_are_skipped(self) -> None:
        if self.planned:
            pytest.skip("every step compares tokens, whether it reveals one or not")
        each = 2 if self.options["guidance"] is not None else 1
        numbers: dict[str, Any] = {"steps": 200} if self.stepped else {}
        numbers |= {"eta": 0.0} if self.options["remask"] else {}
        out = self.generate(self.network(), self.holes(), trace=True, **numbers)
        assert out.trace is not None
        steps = len(set(out.trace.step.tolist()))
        blocks = 2 if self.options["decoding_block"] else 1
        assert each * steps <= out.forward_passes <= each * steps * blocks

    def test_one_reveal_per_pass_samples_exact_distribution(self) -> None:
        """Exact for all orders, which depend on distributions and not on draws."""
        if self.planned:
            pytest.skip("probable tokens are preferred")
        toy, numbers = self.toy(), self.one_at_a_time
        if self.options[
            "remask"
        ]:  # small, so that two tokens are rarely revealed together
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

    def test_times_decrease_from_noise_to_data(self) -> None:
        if not takes_time(self.network()):
            return
        oracle = self.oracle(self.toy())
        batch = self.prompts([(5,)])
        numbers = self.one_at_a_time if not self.stepped else {"steps": 60}
        if self.options.get("growth"):
            numbers = numbers | {"growth": 1.0}  # else one step may reveal all
        self.generate(oracle, batch, **numbers | ({"eta": 0.0} if self.eta else {}))
        times = [float(t[0]) for t in oracle.times]
        assert len(times) > 1
        assert all(0 <= t <= 1 for t in times)
        assert times == sorted(times, reverse=True)
        assert times[0] > times[-1]

    def test_prompts_of_different_lengths_and_no_prompt(self) -> None:
        batch = self.prompts([(), *PROMPTS], repeat=2)
        out = self.generate(self.network(), batch)
        assert not (out.ids == self.tokens.mask).any()

    def test_batch_without_free_positions_takes_no_pass(self) -> None:
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
    """Classifier-free guidance: (1 + g) · logits with prompt − g · logits without."""

    def test_guided_logits_are_extrapolated(self) -> None:
        """Tests one hole in a row of given tokens."""
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
            logits[list(self.suppress_tokens)] = -torch.inf
            out = self.generate(oracle, batch, guidance=strength)
            drawn = out.ids[batch["fillable"]]
            counts = drawn.bincount(minlength=self.tokens.vocab_size)
            assert p_value(counts, logits.softmax(0)) > LEAST

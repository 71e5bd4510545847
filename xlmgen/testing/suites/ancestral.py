"""Tests of ancestral sampling, with and without remasking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.runtime.decoding.masked import MaskedState
from xlmgen.testing.law import sampler_law
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import (
    ancestral_steps,
    levels,
    noise_level,
    remask_probability,
)
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.predictor import LEAST
from xlmgen.testing.suites.unmasking import UnmaskingSubject
from xlmgen.testing.toy import ANSWER

ROWS = 1500


class AncestralTests(UnmaskingSubject):
    """A masked token is revealed with probability (α_s − α_t)/(1 − α_t) from t to s."""

    @pytest.mark.parametrize("steps", [1, 4, 16])
    def test_samples_follow_the_exact_distribution_of_few_steps(
        self, steps: int
    ) -> None:
        """The exact distribution includes the error of several reveals per step."""
        toy = self.toy()
        oracle = self.oracle(toy)
        block = 2 if self.options["decoding_block"] else None
        for prompt, drawn in self.samples(toy, steps=steps):
            row, fillable = self.row(prompt)
            law = sampler_law(
                oracle,
                row,
                fillable,
                ancestral_steps(self.spec, ANSWER, steps, block, self.eta),
                mask=self.tokens.mask,
                suppress_tokens=self.suppress_tokens,
                vocab_size=self.tokens.vocab_size,
            )
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_share_of_masks_follows_the_schedule(self) -> None:
        """After each step 1 − α_s of the positions are masked, also with remasking."""
        if self.options["decoding_block"]:
            pytest.skip("every block has its own clock")
        steps, logits = 8, torch.zeros(self.tokens.vocab_size)
        batch = self.prompts([(5,)], repeat=ROWS)
        model = FixedLogits(self.toy(), logits)
        numbers: dict[str, Any] = {"eta": 0.8} if self.options["remask"] else {}
        out = self.generate(model, batch, steps=steps, trace=True, **numbers)
        assert out.trace is not None
        masked = batch["fillable"].clone()
        total = int(masked.sum())
        for step, level in enumerate(levels(self.spec, steps)[1:]):
            now = out.trace.step == step
            where = (out.trace.row[now], out.trace.position[now])
            masked[where] = out.trace.token[now] == self.tokens.mask
            expected = (1 - level) * total
            error = (total * level * (1 - level)) ** 0.5
            assert abs(int(masked.sum()) - expected) <= 4.5 * error + 1e-6
        assert not masked.any()

    @pytest.mark.parametrize("step", [1, 500, 996])
    def test_reveal_probability_is_exact(
        self, step: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A draw just below reveals and one just above does not, even in late steps."""
        remask = self.options["remask"]
        if self.options["decoding_block"] or (remask and remask["window"]):
            pytest.skip("steps of another clock")
        steps, eta = 1000, 1e-3
        now, then = (noise_level(self.spec, 1 - (step + k) / steps) for k in (0, 1))
        sigma, clean = 0.0, 1 - now
        if remask and not remask["confidence"]:
            sigma = remask_probability(remask["rule"], eta, clean, 1 - then)
        chance = 1 - (then - sigma * clean) / now
        batch = self.prompts([(5,)])
        model = FixedLogits(self.toy(), torch.zeros(self.tokens.vocab_size))
        for factor in (1 - 1e-6, 1 + 1e-6):
            draws = [1.0] * steps  # no probability is above it
            draws[step] = chance * factor
            monkeypatch.setattr(MaskedState, "uniform", one_by_one(draws))
            numbers: dict[str, Any] = {"eta": eta} if remask else {}
            out = self.generate(model, batch, steps=steps, trace=True, **numbers)
            assert out.trace is not None
            revealed = int((out.trace.step == step).sum())
            assert revealed == (ANSWER if factor < 1 else 0)

    def test_less_confident_tokens_are_remasked_more_often(self) -> None:
        """The network is certain of the first of three positions only.

        While the third is masked, one of the two others can be remasked.
        """
        remask = self.options["remask"]
        if not remask or not remask["confidence"]:
            pytest.skip("remasking looks at no confidence")
        logits = torch.full((3, self.tokens.vocab_size), -20.0)
        logits[0, 5], logits[1:, 5:] = 20.0, 1.0
        ids = torch.full((4 * ROWS, 3), self.tokens.mask)
        batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": torch.ones_like(ids, dtype=torch.bool),
        }
        model = FixedLogits(self.toy(), logits)
        whole: dict[str, Any] = (
            {"decoding_block": 3} if self.options["decoding_block"] else {}
        )
        out = self.generate(model, batch, steps=20, eta=0.9, trace=True, **whole)
        assert out.trace is not None
        visible = torch.zeros_like(ids, dtype=torch.bool)
        again = torch.zeros(2, dtype=torch.long)
        for step in range(20):
            now = out.trace.step == step
            row, position = out.trace.row[now], out.trace.position[now]
            masked = out.trace.token[now] == self.tokens.mask
            # With one visible token there is no choice.
            both = visible[:, :2].all(1) & ~visible[:, 2]
            chosen = masked & both[row]
            again += position[chosen].bincount(minlength=2)
            visible[row, position] = ~masked
        # A softmax of negative confidences: 1 for the first token, 1/3 for the second.
        shares = torch.tensor([-1.0, -1 / 3], dtype=torch.float64).softmax(0)
        assert p_value(again, shares) > LEAST
        assert p_value(again, torch.full_like(shares, 0.5)) < 0.01


def one_by_one(draws: list[float]) -> Callable[[MaskedState, object], Tensor]:
    """Make a `MaskedState.uniform` whose calls return these draws for all positions."""
    following = iter(draws)

    def uniform(state: MaskedState, _: object) -> Tensor:
        return torch.full(state.ids.shape, next(following), dtype=torch.float64)

    return uniform

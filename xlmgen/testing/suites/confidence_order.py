"""Tests of generation in the order of the network's confidence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.runtime.generation import Trace
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.predictor import LEAST, Batch, confined
from xlmgen.testing.suites.unmasking import UnmaskingSubject

LENGTH = 6
PROBS = torch.tensor(
    [
        [0.50, 0.48, 0.01, 0.01],
        [0.90, 0.04, 0.03, 0.03],
        [0.46, 0.18, 0.18, 0.18],
        [0.60, 0.38, 0.01, 0.01],
        [0.98, 0.01, 0.005, 0.005],
        [0.40, 0.30, 0.20, 0.10],
    ],
    dtype=torch.float64,
)
"""Probabilities of EOS and ordinary tokens by position; the three orders differ."""

UNSURE_FIRST = {
    "top_prob": [[0.52, 0.16, 0.16, 0.16], [0.56, 0.42, 0.01, 0.01]],
    "margin": [[0.52, 0.16, 0.16, 0.16], [0.56, 0.42, 0.01, 0.01]],
    "entropy": [[0.54, 0.455, 0.0025, 0.0025], [0.56, 0.147, 0.147, 0.146]],
}
"""Only the second is above 0.55; margin and entropy rank the first position first."""

RANKED = torch.tensor(
    [
        [0.50, 0.49, 0.005, 0.005],
        [0.52, 0.17, 0.16, 0.15],
        [0.45, 0.35, 0.19, 0.01],
        [0.44, 0.20, 0.19, 0.17],
        [0.62, 0.30, 0.07, 0.01],
        [0.60, 0.14, 0.13, 0.13],
    ],
    dtype=torch.float64,
)
"""Temperature and `top_k` change every order of these."""


class ConfidenceOrderTests(UnmaskingSubject):
    """Positions are revealed in the order of scores computed by their definitions."""

    def test_most_confident_position_is_revealed_first(self) -> None:
        trace = self.run_traced(**self.one_by_one)
        areas = (
            [(0, 1), (2, 3), (4, 5)]
            if self.options["decoding_block"]
            else [range(LENGTH)]
        )
        expected = [
            place
            for area in areas
            for place in sorted(area, key=lambda p: -self.scores()[p])
        ]
        assert trace.position.tolist() == expected

    @pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
    def test_rank_by_selects_probabilities_of_ranking(self, temperature: float) -> None:
        """They are the model's own, or those after temperature and `top_k`."""
        numbers: dict[str, Any] = {"temperature": temperature, "top_k": 2}
        drawn = [confined(row, temperature or 1.0, 2, None) for row in RANKED]
        orders = []
        for probs in (RANKED, torch.stack(drawn)):
            scores = torch.tensor(self.scores(probs), dtype=torch.float64)
            orders.append(scores.argsort(descending=True).tolist())
        assert orders[0] != orders[1]
        trace = self.run_traced(
            probs=RANKED, **self.one_by_one | self.one_block | numbers
        )
        shaped = self.options["rank_by"] == "sampling"
        assert trace.position.tolist() == orders[shaped]

    def test_equal_numbers_are_revealed_per_step(self) -> None:
        if not self.evenly:
            pytest.skip("the number per step follows the network's confidence")
        trace = self.run_traced(steps=4, **self.one_block)
        assert trace.step.bincount().tolist() == [2, 2, 1, 1]
        best = sorted(range(LENGTH), key=lambda p: -self.scores()[p])
        assert sorted(trace.position[:2].tolist()) == sorted(best[:2])

    def test_steps_none_reveals_one_token_per_step(
        self,
    ) -> None:
        if not self.evenly:
            pytest.skip("no steps")
        out = self.generate(self.network(), self.holes(), trace=True, steps=None)
        assert out.trace is not None
        steps = [out.trace.step[out.trace.row == row].tolist() for row in range(3)]
        assert steps == [[0], [0, 1], [0, 1, 2]]

    def test_rows_reveal_shares_of_their_own_masks(self) -> None:
        if not self.evenly or self.options["decoding_block"]:
            pytest.skip("not so many per step")
        out = self.generate(self.network(), self.holes(), trace=True, steps=2)
        assert out.trace is not None
        steps = [out.trace.step[out.trace.row == row].tolist() for row in range(3)]
        assert steps == [[0], [0, 1], [0, 0, 1]]

    def test_all_positions_above_threshold_are_revealed(self) -> None:
        if self.options["threshold"] is None or self.options["stable"]:
            pytest.skip("no threshold, or not alone")
        trace = self.run_traced(threshold=0.55, **self.one_block)
        first = set(trace.position[trace.step == 0].tolist())
        best = max(range(LENGTH), key=lambda p: self.scores()[p])
        assert first == {1, 3, 4} | {best}
        assert trace.step.bincount().tolist() == [len(first)] + [1] * (
            LENGTH - len(first)
        )

    def test_positions_below_threshold_stay_if_others_are_above(
        self,
    ) -> None:
        if self.options["threshold"] is None or self.options["stable"]:
            pytest.skip("no threshold, or not alone")
        probs = torch.tensor(UNSURE_FIRST[self.options["order"]], dtype=torch.float64)
        trace = self.run_traced(probs=probs, threshold=0.55, **self.one_block)
        assert trace.position.tolist() == [1, 0]
        assert trace.step.tolist() == [0, 1]

    def test_entropies_per_step_are_within_the_bound(self) -> None:
        if self.options["entropy_bound"] is None:
            pytest.skip("no bound")
        entropies = [-float((row * row.log()).sum()) for row in PROBS]
        for bound in (0.0, 0.5, 1.1, 100.0):
            trace = self.run_traced(entropy_bound=bound, **self.one_block)
            taken: list[int] = []
            for place in sorted(range(LENGTH), key=lambda p: -self.scores()[p]):
                costs = [entropies[p] for p in [*taken, place]]
                if taken and sum(costs) - max(costs) > bound:
                    break
                taken.append(place)
            assert trace.position[trace.step == 0].tolist() == sorted(taken)

    def test_order_noise_is_gumbel(self) -> None:
        """Position i is first with probability ∝ exp(score_i / τ)."""
        if not self.options["order_temperature"]:
            pytest.skip("an order without noise")
        tau = 0.8
        numbers = self.one_by_one | self.one_block | {"order_temperature": tau}
        trace = self.run_traced(rows=3000, **numbers)
        counts = trace.position[trace.step == 0].bincount(minlength=LENGTH)
        scores = torch.tensor(self.scores(), dtype=torch.float64)
        assert p_value(counts, (scores / tau).softmax(0)) > LEAST

    @property
    def evenly(self) -> bool:
        """Whether every step reveals an equal number."""
        return self.stepped and self.options["growth"] is None

    @property
    def one_block(self) -> dict[str, Any]:
        """Options that make the answer one block."""
        return {"decoding_block": LENGTH} if self.options["decoding_block"] else {}

    @property
    def one_by_one(self) -> dict[str, Any]:
        numbers = dict(self.one_at_a_time)
        if "steps" in numbers:
            numbers["steps"] = LENGTH
        return numbers

    def scores(self, probs: Tensor = PROBS) -> list[float]:
        """Compute the family's score of every position by its definition."""
        best = probs.sort(descending=True).values.tolist()
        if self.options["order"] == "top_prob":
            return [math.log(row[0]) for row in best]
        if self.options["order"] == "margin":
            return [math.log(row[0] - row[1]) for row in best]
        return [sum(p * math.log(p) for p in row if p) for row in best]

    def run_traced(self, rows: int = 1, probs: Tensor = PROBS, **numbers: Any) -> Trace:
        """Return the trace of a row of masks, one per entry of `probs`.

        The order has no noise.
        """
        if self.options["order_temperature"]:
            numbers = {"order_temperature": 0.0} | numbers
        ids = torch.full((rows, len(probs)), self.tokens.mask)
        batch: Batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": torch.ones_like(ids, dtype=torch.bool),
        }
        model = FixedLogits(self.toy(), self.table(probs))
        out = self.generate(model, batch, trace=True, **numbers)
        assert out.trace is not None
        return out.trace

    def table(self, probs: Tensor) -> Tensor:
        """Make logits (L, V) whose most likely tokens must never be generated."""
        logits = torch.full((len(probs), self.tokens.vocab_size), -40.0)
        logits[:, [self.tokens.eos, 5, 6, 7]] = probs.log().float()
        logits[:, list(self.suppress_tokens)] = 3.0
        return logits

"""Generation in the order of the network's confidence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.sampling import Trace
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.predictor import LEAST, Batch
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
"""Of EOS and the ordinary tokens at every position: the three orders differ."""


class ConfidenceOrderTests(UnmaskingSubject):
    """Positions come in the order of plainly computed scores."""

    def test_the_most_certain_position_comes_first(self) -> None:
        trace = self.run_traced(**self.one_by_one)
        areas = [(0, 1), (2, 3), (4, 5)] if self.options["block"] else [range(LENGTH)]
        expected = [
            place
            for area in areas
            for place in sorted(area, key=lambda p: -self.scores()[p])
        ]
        assert trace.position.tolist() == expected

    def test_an_even_share_is_revealed_per_step(self) -> None:
        if not self.stepped:
            pytest.skip("the number per step follows the network's confidence")
        trace = self.run_traced(steps=4, **self.whole)
        assert trace.step.bincount().tolist() == [2, 2, 1, 1]
        best = sorted(range(LENGTH), key=lambda p: -self.scores()[p])
        assert sorted(trace.position[:2].tolist()) == sorted(best[:2])

    def test_everything_above_the_threshold_is_revealed(self) -> None:
        if self.options["threshold"] is None:
            pytest.skip("no threshold")
        trace = self.run_traced(threshold=0.55, **self.whole)
        first = set(trace.position[trace.step == 0].tolist())
        best = max(range(LENGTH), key=lambda p: self.scores()[p])
        assert first == {1, 3, 4} | {best}
        assert trace.step.bincount().tolist() == [len(first)] + [1] * (
            LENGTH - len(first)
        )

    def test_entropies_of_a_step_stay_within_the_bound(self) -> None:
        if self.options["entropy_bound"] is None:
            pytest.skip("no bound")
        entropies = [-float((row * row.log()).sum()) for row in PROBS]
        for bound in (0.0, 0.5, 1.1, 100.0):
            trace = self.run_traced(entropy_bound=bound, **self.whole)
            taken: list[int] = []
            for place in sorted(range(LENGTH), key=lambda p: -self.scores()[p]):
                costs = [entropies[p] for p in [*taken, place]]
                if taken and sum(costs) - max(costs) > bound:
                    break
                taken.append(place)
            assert trace.position[trace.step == 0].tolist() == sorted(taken)

    def test_noise_on_the_order_is_gumbels(self) -> None:
        """The first position i is drawn with probability ∝ exp(score_i / τ)."""
        if not self.options["order_temperature"]:
            pytest.skip("an order without noise")
        tau = 0.8
        numbers = self.one_by_one | self.whole | {"order_temperature": tau}
        trace = self.run_traced(rows=3000, **numbers)
        counts = trace.position[trace.step == 0].bincount(minlength=LENGTH)
        scores = torch.tensor(self.scores(), dtype=torch.float64)
        assert p_value(counts, (scores / tau).softmax(0)) > LEAST

    @property
    def whole(self) -> dict[str, Any]:
        """Numbers that make one block of everything."""
        return {"block": LENGTH} if self.options["block"] else {}

    @property
    def one_by_one(self) -> dict[str, Any]:
        numbers = dict(self.one_at_a_time)
        if "steps" in numbers:
            numbers["steps"] = LENGTH
        return numbers

    def scores(self) -> list[float]:
        """The family's score of every position, by its definition."""
        best = PROBS.sort(descending=True).values.tolist()
        if self.options["order"] == "top_prob":
            return [math.log(row[0]) for row in best]
        if self.options["order"] == "margin":
            return [math.log(row[0] - row[1]) for row in best]
        return [sum(p * math.log(p) for p in row) for row in best]

    def run_traced(self, rows: int = 1, **numbers: Any) -> Trace:
        """The trace of a row of six holes, without noise on the order."""
        if self.options["order_temperature"]:
            numbers = {"order_temperature": 0.0} | numbers
        ids = torch.full((rows, LENGTH), self.tokens.mask)
        batch: Batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": torch.ones_like(ids, dtype=torch.bool),
        }
        model = FixedLogits(self.toy(), self.table())
        out = self.generate(model, batch, trace=True, **numbers)
        assert out.trace is not None
        return out.trace

    def table(self) -> Tensor:
        """(L, V) logits; what can never be produced is the most likely of all."""
        logits = torch.full((LENGTH, self.tokens.vocab_size), -40.0)
        logits[:, [self.tokens.eos, 5, 6, 7]] = PROBS.log().float()
        logits[:, list(self.never)] = 3.0
        return logits

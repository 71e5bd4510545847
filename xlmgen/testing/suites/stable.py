"""Tests of KLASS: positions above the threshold wait until they are stable."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.runtime.generation import Trace
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.suites.predictor import Batch
from xlmgen.testing.suites.unmasking import UnmaskingSubject
from xlmgen.testing.toy import Toy

SURE = [0.9, 0.05, 0.05]
SURER = [0.96, 0.02, 0.02]
OTHER = [0.05, 0.9, 0.05]
UNSURE = [0.5, 0.3, 0.2]
PASSES = [
    [SURE, SURE, SURE, UNSURE, SURER, UNSURE, SURE, SURE],
    [SURE, OTHER, SURE, UNSURE, SURER, UNSURE, SURE, SURE],
    [SURE, OTHER, SURER, UNSURE, SURER, UNSURE, SURE, SURE],
    [SURE, OTHER, SURER, SURE, SURER, UNSURE, SURE, SURE],
]
"""Probabilities of tokens 5 to 7 at eight positions, in one pass after another."""

LENGTH = 8
THRESHOLD = 0.8


class StableTests(UnmaskingSubject):
    """Which positions are revealed in which pass, by the definition."""

    @pytest.mark.parametrize("passes", [1, 2, 3])
    @pytest.mark.parametrize("kl", [1e-9, 0.02, 0.03, 0.1])
    def test_positions_wait_until_they_are_stable(self, passes: int, kl: float) -> None:
        """The first pass has none before it: nothing is stable yet."""
        left, expected = set(range(LENGTH)), []
        tables = PASSES + PASSES[-1:] * LENGTH
        for step, now in enumerate(tables):
            reached = {
                place
                for place in left
                if max(now[place]) >= THRESHOLD
                and step >= passes
                and all(
                    divergence(tables[s][place], tables[s - 1][place]) < kl
                    for s in range(step - passes + 1, step + 1)
                )
            }
            chosen = reached or {
                min(left, key=lambda place: (-self.score(now[place]), place))
            }
            expected += [(step, place) for place in sorted(chosen)]
            left -= chosen
            if not left:
                break
        trace = self.traced(passes=passes, kl=kl, threshold=THRESHOLD)
        found = zip(trace.step.tolist(), trace.position.tolist(), strict=True)
        assert list(found) == expected

    def test_stable_positions_below_the_threshold_wait(self) -> None:
        trace = self.traced(passes=1, kl=1e9, threshold=0.95)
        first = trace.position[trace.step == 1].tolist()
        assert 5 not in first
        assert trace.step.bincount().tolist()[0] == 1

    def score(self, probs: list[float]) -> float:
        """The family's score of a distribution."""
        best = sorted(probs, reverse=True)
        if self.options["order"] == "top_prob":
            return math.log(best[0])
        if self.options["order"] == "margin":
            return math.log(best[0] - best[1])
        return sum(p * math.log(p) for p in probs)

    def traced(self, **numbers: float) -> Trace:
        """Return the trace of eight masks whose distributions change with passes."""
        ids = torch.full((1, LENGTH), self.tokens.mask)
        batch: Batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": torch.ones_like(ids, dtype=torch.bool),
        }
        tables = []
        for probs in PASSES:
            logits = torch.full((LENGTH, self.tokens.vocab_size), -40.0)
            logits[:, 5:8] = torch.tensor(probs).log()
            logits[:, list(self.suppress_tokens)] = 3.0
            tables.append(logits)
        more: dict[str, Any] = dict(numbers)
        if self.options["decoding_block"]:
            more["decoding_block"] = LENGTH
        if self.options["order_temperature"]:
            more["order_temperature"] = 0
        calls = 1 if self.options["guidance"] is None else 2
        model = Changing(self.toy(), tables, calls)
        out = self.generate(model, batch, trace=True, **more)
        assert out.trace is not None
        return out.trace


class Changing(FixedLogits):
    """Other constant logits in every pass: (L, V) each, the last ones from then on.

    Args:
        calls: per pass; with guidance there are two.
    """

    def __init__(self, toy: Toy, tables: list[Tensor], calls: int = 1) -> None:
        super().__init__(toy, tables[0])
        self.tables, self.calls_per_pass = tables, calls

    def record(self, input_ids: Tensor, t: Tensor | None = None) -> None:
        self.values = self.tables[
            min(self.calls // self.calls_per_pass, len(self.tables) - 1)
        ]
        super().record(input_ids, t)


def divergence(p: list[float], q: list[float]) -> float:
    """KL(p ‖ q) in nats."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

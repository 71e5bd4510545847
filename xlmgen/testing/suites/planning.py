"""Tests of path planning: a step masks the least probable of all generated tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import levels
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.predictor import LEAST, Batch
from xlmgen.testing.suites.unmasking import UnmaskingSubject
from xlmgen.testing.toy import ANSWER

BEST = (0.5, 0.9, 0.46, 0.6, 0.98, 0.4)
"""Probabilities of the most likely token by position."""

ETAS = (0.0, 0.5, 1.0, 4.0)
Law = dict[tuple[int, ...], float]


class PlanningTests(UnmaskingSubject):
    """Positions, their number and the distribution of samples, by the definition."""

    @pytest.mark.parametrize("eta", ETAS)
    def test_least_probable_tokens_are_masked(self, eta: float) -> None:
        """At temperature 0 every token is the most likely one, so all is known."""
        steps, length = 4, len(BEST)
        visible: set[int] = set()
        expected = []
        for step, masks in enumerate(self.masks(steps, length)):
            scores = {
                place: math.log(p) * (eta if place in visible else 1.0)
                for place, p in enumerate(BEST)
            }
            ranked = sorted(scores, key=lambda place: -scores[place])
            kept = set(ranked[: length - masks])
            expected += [(step, place, 6) for place in sorted(kept - visible)]
            expected += [
                (step, place, self.tokens.mask) for place in sorted(visible - kept)
            ]
            visible = kept
        best = torch.tensor(BEST)
        table = torch.full((length, self.tokens.vocab_size), -40.0)
        table[:, 6] = best.log()
        table[:, 5] = table[:, 7] = ((1 - best) / 2).log()
        table[:, list(self.suppress_tokens)] = 3.0
        model = FixedLogits(self.toy(), table)
        numbers: dict[str, Any] = {"eta": eta, "temperature": 0.0, "steps": steps}
        if self.options["decoding_block"]:
            numbers["decoding_block"] = length
        out = self.generate(model, self.row_of_masks(length), trace=True, **numbers)
        assert out.trace is not None
        found = zip(
            out.trace.step.tolist(),
            out.trace.position.tolist(),
            out.trace.token.tolist(),
            strict=True,
        )
        assert list(found) == expected

    def test_visible_tokens_stay_without_strength(self) -> None:
        """Also if the network is certain of every token."""
        logits = torch.full((self.tokens.vocab_size,), -1000.0)
        logits[7] = 0.0
        batch = self.row_of_masks(7)
        model = FixedLogits(self.toy(), logits)
        out = self.generate(model, batch, trace=True, eta=0.0, steps=5)
        assert out.trace is not None
        assert sorted(out.trace.position.tolist()) == list(range(7))

    def test_finished_rows_do_not_change(self) -> None:
        """A row without masks is finished; the others of the batch continue."""
        batch = self.holes()
        for seed in range(5):
            out = self.generate(
                self.network(seed), batch, seed=seed, trace=True, steps=20, eta=4.0
            )
            assert out.trace is not None
            masked = batch["fillable"].clone()
            for step in sorted(set(out.trace.step.tolist())):
                now = out.trace.step == step
                finished = ~masked.any(1)
                if not self.options["decoding_block"]:
                    assert not finished[out.trace.row[now]].any()
                where = (out.trace.row[now], out.trace.position[now])
                masked[where] = out.trace.token[now] == self.tokens.mask
            assert not masked.any()
            given = ~batch["fillable"]
            assert out.ids[given].equal(batch["input_ids"][given])

    @pytest.mark.parametrize("eta", [0.0, 2.0])
    @pytest.mark.parametrize("steps", [1, 3, 5])
    def test_samples_follow_the_exact_distribution(
        self, steps: int, eta: float
    ) -> None:
        """The sum over all tokens that could be drawn, in every step."""
        toy = self.toy()
        oracle = self.oracle(toy)
        size = 2 if self.options["decoding_block"] else ANSWER
        for prompt, drawn in self.samples(toy, steps=steps, eta=eta):
            row, fillable = self.row(prompt)
            law: Law = {(self.tokens.mask,) * ANSWER: 1.0}
            parts = -(-ANSWER // size)
            for part in range(parts):
                area = range(part * size, min((part + 1) * size, ANSWER))
                share = max(1, steps // parts + (part < steps % parts))
                for masks in self.masks(share, len(area)):
                    law = self.after(law, oracle, row, fillable, area, masks, eta)
            expected = torch.zeros(
                (self.tokens.vocab_size,) * ANSWER, dtype=torch.float64
            )
            for string, probability in law.items():
                expected[string] = probability
            assert p_value(tally(drawn, self.tokens.vocab_size), expected) > LEAST

    def masks(self, steps: int, number: int) -> list[int]:
        """Number of masks, of `number` tokens, after every step."""
        after = levels(self.spec, steps)[1:]
        return [math.floor(number * (1 - level) + 1e-9) for level in after]

    def row_of_masks(self, length: int) -> Batch:
        ids = torch.full((1, length), self.tokens.mask)
        return {"input_ids": ids, "attention_mask": None, "fillable": ids > 0}

    def after(
        self,
        law: Mapping[tuple[int, ...], float],
        model: nn.Module,
        row: Tensor,
        fillable: Tensor,
        area: Sequence[int],
        masks: int,
        eta: float,
    ) -> Law:
        """Carry a distribution of strings through one step in an area."""
        found: Law = {}
        for string, probability in law.items():
            hidden = [place for place in area if string[place] == self.tokens.mask]
            if not hidden:
                found[string] = found.get(string, 0.0) + probability
                continue
            ids = row.clone()
            ids[fillable] = torch.tensor(string)
            logits = model(ids[None])[0, fillable].double()
            logits[:, list(self.suppress_tokens)] = -torch.inf
            logs = logits.log_softmax(-1).tolist()
            choices = [
                [v for v, value in enumerate(logs[place]) if value > -25]
                for place in hidden
            ]
            for drawn in product(*choices):
                tokens = list(string)
                chance = probability
                for place, token in zip(hidden, drawn, strict=True):
                    tokens[place] = token
                    chance *= math.exp(logs[place][token])
                scores = {
                    place: logs[place][tokens[place]] * (1 if place in hidden else eta)
                    for place in area
                }
                ranked = sorted(area, key=lambda p: (-scores[p], p in hidden, p))
                for place in ranked[len(area) - masks :]:
                    tokens[place] = self.tokens.mask
                key = tuple(tokens)
                found[key] = found.get(key, 0.0) + chance
        return found

"""Tests of step sizes that grow or fall from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.predictor import LEAST
from xlmgen.testing.suites.unmasking import UnmaskingSubject
from xlmgen.testing.toy import ANSWER

Law = dict[tuple[int, ...], float]


class StepSizeTests(UnmaskingSubject):
    """How many tokens a step reveals, at which positions, and the distribution."""

    @pytest.mark.parametrize("growth", [0.5, 1.0, 2.0])
    @pytest.mark.parametrize("steps", [1, 3, 5])
    def test_sizes_form_a_geometric_series(self, steps: int, growth: float) -> None:
        """Rows have numbers of masks of their own; none is left at the end."""
        numbers: dict[str, Any] = {"steps": steps, "growth": growth}
        lengths = (7, 20, 3)
        ids = torch.full((3, max(lengths)), self.tokens.mask)
        for row, length in enumerate(lengths):
            ids[row, length:] = 5
        batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": ids == self.tokens.mask,
        }
        if self.options["decoding_block"]:
            numbers["decoding_block"] = max(lengths)
        model = FixedLogits(self.toy(), torch.zeros(self.tokens.vocab_size))
        out = self.generate(model, batch, trace=True, **numbers)
        assert out.trace is not None
        for row, length in enumerate(lengths):
            now = out.trace.step[out.trace.row == row]
            found = now.bincount(minlength=steps).tolist()
            assert found == sizes(length, steps, growth)

    @pytest.mark.parametrize("growth", [0.5, 3.0])
    def test_samples_follow_the_exact_distribution_of_few_steps(
        self, growth: float
    ) -> None:
        """The sum over all positions that a step could choose."""
        if self.options["order"] != "random":
            pytest.skip("positions are not drawn")
        toy, steps = self.toy(), 2
        oracle = self.oracle(toy)
        size = 2 if self.options["decoding_block"] else ANSWER
        parts = -(-ANSWER // size)
        for prompt, drawn in self.samples(toy, steps=steps, growth=growth):
            row, fillable = self.row(prompt)
            law: Law = {(self.tokens.mask,) * ANSWER: 1.0}
            for part in range(parts):
                area = range(part * size, min((part + 1) * size, ANSWER))
                share = max(1, steps // parts + (part < steps % parts))
                for number in sizes(len(area), share, growth):
                    law = self.after(law, oracle, row, fillable, area, number)
            expected = torch.zeros(
                (self.tokens.vocab_size,) * ANSWER, dtype=torch.float64
            )
            for string, probability in law.items():
                expected[string] = probability
            assert p_value(tally(drawn, self.tokens.vocab_size), expected) > LEAST

    def after(
        self,
        law: Mapping[tuple[int, ...], float],
        model: nn.Module,
        row: Tensor,
        fillable: Tensor,
        area: Sequence[int],
        number: int,
    ) -> Law:
        """Carry a distribution of strings through one step in an area."""
        found: Law = {}
        for string, probability in law.items():
            ids = row.clone()
            ids[fillable] = torch.tensor(string)
            logits = model(ids[None])[0, fillable].double()
            logits[:, list(self.suppress_tokens)] = -torch.inf
            probs = logits.softmax(-1).tolist()
            hidden = [place for place in area if string[place] == self.tokens.mask]
            chosen = list(combinations(hidden, number))
            for places in chosen:
                choices = [[v for v, p in enumerate(probs[i]) if p] for i in places]
                for drawn in product(*choices):
                    tokens, chance = list(string), probability / len(chosen)
                    for place, token in zip(places, drawn, strict=True):
                        tokens[place] = token
                        chance *= probs[place][token]
                    key = tuple(tokens)
                    found[key] = found.get(key, 0.0) + chance
        return found


def sizes(number: int, steps: int, growth: float) -> list[int]:
    """Tokens that every step reveals: the rounded sums of a geometric series."""
    powers = [Fraction(growth) ** step for step in range(steps)]
    after = [
        int(number * sum(powers[: step + 1]) / sum(powers)) for step in range(steps)
    ]
    return [now - before for before, now in zip([0, *after[:-1]], after, strict=True)]

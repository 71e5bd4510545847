"""Tests of score entropy, whose bound is the entropy for an oracle of ratios."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.oracle import MaskedOracle
from xlmgen.testing.schedule import noise_schedule, slope
from xlmgen.testing.suites.masked_bound import MaskedSubject
from xlmgen.testing.toy import Toy


class ScoreEntropyTests(MaskedSubject):
    """`E_t Σ_masked −α′/α [ Σ_v s_v − r ln s_x + r (ln r − 1) ]` (arXiv:2310.16834).

    The oracle's ratios are s_v = p(v | visible) α / (1 − α).
    """

    @pytest.mark.parametrize("log_sum", [-0.7, 0.0, 0.4])
    def test_rows_equal_score_entropy_term_by_term(self, log_sum: float) -> None:
        """For ratios that add up to those of a distribution, and others."""
        toy = self.toy()
        batch, _ = self.enumerated(toy, *self.interval)
        plain = MaskedOracle(toy, self.tokens.vocab_size, self.tokens.mask)
        logits = plain(batch["input_ids"], batch["attention_mask"]).double()
        logits[..., self.tokens.mask] = -torch.inf
        p = logits.softmax(-1) * math.exp(log_sum)
        t = batch["t"].double()
        alpha = noise_schedule(self.spec).alpha(t)[:, None]
        ratio = alpha / (1 - alpha)
        rate = -slope(noise_schedule(self.spec), t)[:, None] / alpha
        at_clean = p.gather(-1, batch["target_ids"][..., None])[..., 0]
        terms = ratio * p.sum(-1) - ratio * (ratio * at_clean).log()
        terms = rate * (terms + ratio * (ratio.log() - 1))
        masked = batch["input_ids"] == self.tokens.mask
        expected = torch.where(masked, terms, 0.0).sum(1)
        model = Raised(self.oracle(toy), log_sum)
        output = self.family.loss(self.tokens)(model, batch)
        found: Tensor = output["row_loss"].double()
        torch.testing.assert_close(found, expected, rtol=2e-4, atol=1e-5)

    def test_ratios_with_another_sum_cost_more(self) -> None:
        """The cost is least where the ratios add up."""
        toy = self.toy()
        batch, chances = self.enumerated(toy, *self.interval)
        loss, oracle = self.family.loss(self.tokens), self.oracle(toy)

        def cost(log_sum: float) -> float:
            rows = loss(Raised(oracle, log_sum), batch)["row_loss"]
            return float((chances * rows.double()).sum())

        least = cost(0.0)
        assert cost(0.05) > least + 1e-3
        assert cost(-0.05) > least + 1e-3
        assert cost(0.05) - least == pytest.approx(cost(-0.05) - least, rel=0.1)

    def oracle(self, toy: Toy) -> Any:
        """Make an oracle whose ratios add up; MASK has the highest, and is excluded."""
        return Raised(super().oracle(toy), math.log(self.tokens.vocab_size - 1))


class Raised(nn.Module):
    """A network with all logits raised by a constant."""

    def __init__(self, inner: Any, by: float) -> None:
        super().__init__()
        self.inner, self.head, self.by = inner, inner.head, by

    @property
    def calls(self) -> int:
        return int(self.inner.calls)

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        hidden: Tensor = self.inner(*inputs, **options)
        return hidden + self.by

"""Tests of the loss of families that insert and unmask against exact values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from xlmgen.testing.remnants import (
    MASKED,
    MISSING,
    VISIBLE,
    Remnants,
    fate_chances,
    insertion_slack,
    remnants,
)
from xlmgen.testing.schedule import event_schedule, loss_weight
from xlmgen.testing.suites.growing import GrowingFamily
from xlmgen.testing.suites.loss import Batch, training_batch, use
from xlmgen.testing.toy import Toy

EARLY = 0.02
"""Few rows have an earlier time, with weights that may be as large as all others."""
NODES = 24
"""Nodes of a quadrature in v, with t = v², because weights diverge at t = 0."""


class MaskAndInsertBoundTests(GrowingFamily):
    """Σ_masked w_b(t) · CE + Σ_gaps w_a(t) · divergence (arXiv:2509.01025).

    For the oracle of expectations its mean is the entropy of content and length plus
    the slack of the order of insertions (`insertion_slack`).
    """

    @pytest.mark.parametrize("prompted", [True, False])
    def test_loss_of_oracle_equals_entropy_plus_order_slack(
        self, prompted: bool
    ) -> None:
        """Sums over rows and token states, and integrates over time by quadrature."""
        toy = self.toy(prompted=prompted)
        measured = self.rows_of(toy, toy) @ toy.probs
        if self.longest is None:
            expected = self.surprise(toy) @ toy.probs + self.slack(toy) @ toy.probs
        else:
            expected = self.plain_rows(toy) @ toy.probs
        assert float(measured) == pytest.approx(float(expected), rel=1e-3)

    def test_loss_bounds_probability_of_every_row(self) -> None:
        """Minus the slack of the order, for the true model and a wrong one."""
        if self.longest is not None:
            pytest.skip("cross-entropies of gaps bound no likelihood")
        toy = self.toy(prompted=False)
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        for believed in (toy, wrong):
            bound = self.rows_of(toy, believed) - self.slack(toy)
            assert (bound > self.surprise(believed) - 1e-2).all()

    def test_wrong_network_has_higher_loss(self) -> None:
        toy = self.toy(prompted=False)
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        right = float(self.rows_of(toy, toy) @ toy.probs)
        assert float(self.rows_of(toy, wrong) @ toy.probs) > right + 0.05

    def test_rows_are_weighted_by_their_time(self) -> None:
        """Checks every row and term, at several times in one batch."""
        toy = self.toy()
        left = remnants(toy, (MISSING, MASKED, VISIBLE))
        t = torch.tensor([0.05, 0.3, 0.6, 0.95])[torch.arange(len(left)) % 4]
        batch = self.hand_made(toy, left, t)
        batch["time_weight"] = torch.full((len(left),), 0.8)
        nll = self.row_nll(toy, batch)
        torch.testing.assert_close(
            nll, 0.8 * self.plain(toy, left, t), rtol=1e-4, atol=1e-5
        )

    def test_loss_is_divided_by_answer_tokens(self) -> None:
        toy = self.toy()
        left = remnants(toy, (MISSING, MASKED, VISIBLE))
        oracle = self.remnant_oracle(toy, (self.tokens.mask,))
        batch = self.hand_made(toy, left, torch.full((len(left),), 0.5))
        output = self.family.loss(self.tokens)(oracle, batch)
        assert output["normalizer"].equal(left.fates.sum(1))
        assert oracle.calls == 1

    def test_gradient_of_empty_gap_is_finite(self) -> None:
        """0 · log 0 is 0, and its gradient is finite."""
        toy, model = self.toy(), self.network()
        left = remnants(toy, (VISIBLE,))
        batch = self.hand_made(toy, left, torch.full((len(left),), 0.5))
        output = self.family.loss(self.tokens)(model, batch)
        assert output["loss"].isfinite()
        assert output["loss"] > 0
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_only_free_gaps_have_loss(self) -> None:
        toy = self.toy()
        left = remnants(toy, (MISSING, VISIBLE))
        batch = self.hand_made(toy, left, torch.full((len(left),), 0.5))
        batch["insertable"] = torch.zeros_like(left.free)
        assert self.row_nll(toy, batch).abs().max() == 0

    @pytest.mark.parametrize("evaluation", [True, False])
    def test_estimate_on_collated_batches_equals_bound(self, evaluation: bool) -> None:
        """Evaluation integrates over all times, training from `sampling_eps`."""
        for toy in (self.toy(), self.toy(prompted=False)):
            if use(toy) not in self.family.collators:
                continue
            rows = toy.sample(2500)
            batch = training_batch(self, toy, rows, evaluation=evaluation)
            nll = self.row_nll(toy, batch)
            part = self.spec.noise_schedule
            assert part is not None
            eps = 0.0 if evaluation else float(part.options["sampling_eps"])
            for start in (eps, EARLY):
                later = nll * (batch["t"] > start)
                expected = float(self.plain_rows(toy, start=start) @ toy.probs)
                error = float(later.std()) / math.sqrt(len(later))
                assert abs(float(later.mean()) - expected) < 5 * error
            assert error < 0.1 * expected

    def surprise(self, toy: Toy) -> Tensor:
        """Compute −log p(answer | prompt) of every row, (S,)."""
        total = {p: float(toy.probs[self.behind(toy, p)].sum()) for p in toy.prompts}
        before = torch.tensor([total[p] for p in toy.prompts], dtype=torch.float64)
        return -(toy.probs / before).log()

    def behind(self, toy: Toy, prompt: tuple[int, ...]) -> Tensor:
        return torch.tensor([other == prompt for other in toy.prompts])

    def slack(self, toy: Toy) -> Tensor:
        """Compute the slack of the order of insertions for every row, (S,)."""
        return torch.tensor(
            [insertion_slack(len(target)) for target in toy.targets],
            dtype=torch.float64,
        )

    def rows_of(self, toy: Toy, believed: Toy) -> Tensor:
        """Compute the mean loss (S,) of every row with the oracle of another toy."""

        def measured(left: Remnants, t: Tensor) -> Tensor:
            return self.row_nll(believed, self.hand_made(toy, left, t))

        return self.integrated(toy, measured)

    def plain_rows(self, toy: Toy, start: float = 0.0) -> Tensor:
        """Compute the mean loss (S,) of the toy's oracle by its formula."""
        return self.integrated(toy, lambda left, t: self.plain(toy, left, t), start)

    def integrated(
        self, toy: Toy, nll: Callable[[Remnants, Tensor], Tensor], start: float = 0.0
    ) -> Tensor:
        """Integrate Σ probability · nll over time for every row, (S,)."""
        insert, unmask = (
            event_schedule(self.spec, "insert"),
            event_schedule(self.spec, "unmask"),
        )
        left = remnants(toy, (MISSING, MASKED, VISIBLE))
        total = torch.zeros(len(toy), dtype=torch.float64)
        for time, share in quadrature(start):
            t = torch.full((len(left),), time)
            chances = fate_chances(insert, unmask, t[0])
            chance = (chances**left.fates).prod(1)
            total.index_add_(0, left.source, share * chance * nll(left, t))
        return total

    def plain(self, toy: Toy, left: Remnants, t: Tensor) -> Tensor:
        """Compute the oracle's loss (K,) of remnants at their times, in float64."""
        t = t.double()
        insert, unmask = (
            event_schedule(self.spec, "insert"),
            event_schedule(self.spec, "unmask"),
        )
        oracle = self.remnant_oracle(toy, ())
        ids = left.ids.masked_fill(left.masked, self.tokens.mask)
        logits, gap = oracle(ids, left.attended, t=t)
        found = logits.double().log_softmax(-1).gather(-1, left.ids[..., None])[..., 0]
        tokens = -torch.where(left.masked, found, 0.0).sum(1)
        x = left.gaps.double()
        if self.longest is None:
            y = insert.noise(t)[:, None] * gap.double()
            terms = torch.where(x > 0, x * (x / y).log(), 0.0) + y - x
        else:
            terms = -gap.double().log_softmax(-1).gather(-1, left.gaps[..., None])
            terms = terms[..., 0]
        gaps = torch.where(left.free, terms, 0.0).sum(1)
        return loss_weight(unmask, t) * tokens + loss_weight(insert, t) * gaps

    def hand_made(self, toy: Toy, left: Remnants, t: Tensor) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        return {
            "input_ids": left.ids.masked_fill(left.masked, self.tokens.mask),
            "attention_mask": None if left.attended.all() else left.attended,
            "target_ids": left.ids,
            "masked_positions": left.masked.flatten().nonzero().squeeze(1),
            "insertable": left.free,
            "missing": left.gaps,
            "num_tokens": left.fates.sum(1),
            "t": t,
            "time_weight": torch.ones(len(left)),
        }

    def row_nll(self, toy: Toy, batch: Batch) -> Tensor:
        """Compute the loss of every row with the toy's oracle, (B,) in float64."""
        oracle = self.remnant_oracle(toy, (self.tokens.mask,))
        nll: Tensor = self.family.loss(self.tokens)(oracle, batch)["row_loss"]
        return nll.double()


def quadrature(start: float) -> list[tuple[float, float]]:
    """Return times from a start to 1, exact in float32, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    low = math.sqrt(start)
    v = low + (1 - low) * (nodes + 1) / 2
    times = (v**2).astype(np.float32)
    shares = weights * (1 - low) * v
    return list(zip(times.tolist(), shares.tolist(), strict=True))

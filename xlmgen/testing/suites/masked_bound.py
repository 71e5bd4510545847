"""Tests of losses of masked families: bounds, exact for an oracle, and others."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.oracle import MaskedOracle
from xlmgen.testing.schedule import (
    alpha,
    exact_ends,
    loss_weight,
    noise_schedule,
    slope,
)
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch, training_batch, use
from xlmgen.testing.suites.minimum import assert_minimum
from xlmgen.testing.toy import ANSWER, Toy

NODES = 6
"""Nodes of a quadrature in the noise level, exact for polynomials of degree 11."""


class MaskedSubject(FamilyTests):
    """A family with masks, and batches that are built without its collator."""

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the times in evaluation."""
        return 0.0, 1.0

    @property
    def sampling_eps(self) -> float:
        part = self.spec.noise_schedule
        return float(part.options["sampling_eps"]) if part else 0.0

    @property
    def prior_per_token(self) -> float:
        """KL divergence of tokens visible at t = 1 to a uniform prior without MASK."""
        left = alpha(noise_schedule(self.spec), 1.0)
        return left * math.log(self.tokens.vocab_size - 1)

    def prior(self, toy: Toy) -> float:
        """Compute the expected prior term of a row."""
        return self.prior_per_token * float((toy.probs * toy.answer.sum(1)).sum())

    def reconstruction(self, toy: Toy) -> float:
        """Compute Σ_masked −log p of tokens that are masked at t = 0."""
        rows, masks = self.patterns(toy)
        level = 1 - alpha(noise_schedule(self.spec), 0.0)
        chance = self.chance(toy, rows, masks, level)
        batch = self.corrupted(toy, rows, masks, 0.0)
        return float((chance * self.masked_nll(toy, batch)).sum())

    def bound(self, toy: Toy, start: float, end: float) -> float:
        """Integrate Σ_masked −log p over the noise levels between two times, exactly.

        With m = 1 − α, the bound's w(t) dt is dm / m.
        """
        patterns = self.patterns(toy)
        schedule = noise_schedule(self.spec)
        low, high = (1 - alpha(schedule, t) for t in (start, end))
        total = 0.0
        for levels, share in quadrature(low, high):
            rows, masks = patterns
            chance = self.chance(toy, rows, masks, levels)
            batch = self.corrupted(toy, rows, masks, 0.5)
            total += (
                share / levels * float((chance * self.masked_nll(toy, batch)).sum())
            )
        return total

    def enumerated(self, toy: Toy, start: float, end: float) -> tuple[Batch, Tensor]:
        """Enumerate rows and mask patterns at the nodes of a quadrature in t.

        Returns:
            the batch, and the weight of each of its rows in the expectation.
        """
        rows, masks = self.patterns(toy)
        schedule = noise_schedule(self.spec)
        low, high = (1 - alpha(schedule, t) for t in (start, end))
        times, chances = [], []
        for level, share in quadrature(low, high):
            t = schedule.inverse(torch.tensor(1 - level, dtype=torch.float64))
            times.append(t.expand(len(rows)))
            chance = self.chance(toy, rows, masks, level)
            chances.append(chance * share / -slope(schedule, t))  # dt = dm / −α′
        batch = self.corrupted(
            toy, rows.repeat(NODES), masks.repeat(NODES, 1), torch.cat(times)
        )
        return batch, torch.cat(chances)

    def patterns(self, toy: Toy) -> tuple[Tensor, Tensor]:
        """Enumerate pairs of a row's index and a mask pattern, (…, L) bool."""
        choices = torch.tensor(list(product([False, True], repeat=ANSWER)))
        rows, masks = [], []
        for row, answer in enumerate(toy.answer):
            number = int(answer.sum())
            for choice in choices[: 2**number, ANSWER - number :]:
                mask = torch.zeros_like(answer)
                mask[answer] = choice
                rows.append(row)
                masks.append(mask)
        return torch.tensor(rows), torch.stack(masks)

    def chance(self, toy: Toy, rows: Tensor, masks: Tensor, level: float) -> Tensor:
        """Compute the probability of rows and masks at a masking probability."""
        masked, total = masks.sum(1), toy.answer[rows].sum(1)
        pattern = level**masked * (1 - level) ** (total - masked)
        return toy.probs[rows] * pattern

    def corrupted(
        self, toy: Toy, rows: Tensor, masks: Tensor, t: Tensor | float
    ) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        clean, attended = toy.rows[rows], toy.attended[rows]
        return {
            "input_ids": clean.masked_fill(masks, self.tokens.mask),
            "attention_mask": None if attended.all() else attended,
            "target_ids": clean,
            "maskable": toy.answer[rows],
            "masked_positions": masks.flatten().nonzero().squeeze(1),
            "t": torch.as_tensor(t).float().expand(len(rows)),
            "time_weight": torch.ones(len(rows)),
        }

    def masked_nll(self, toy: Toy, batch: Batch) -> Tensor:
        """Compute Σ −log p(x_i | visible) over masked positions, (B,) in float64."""
        oracle = MaskedOracle(toy, self.tokens.vocab_size, self.tokens.mask)
        log_probs = oracle(batch["input_ids"], batch["attention_mask"]).double()
        targets = batch["target_ids"][..., None]
        found = log_probs.log_softmax(-1).gather(-1, targets)[..., 0]
        masked = batch["input_ids"] == self.tokens.mask
        return -torch.where(masked, found, 0.0).sum(1)

    def row_nll(self, toy: Toy, batch: Batch) -> Tensor:
        """Compute the loss of every row with the toy's oracle, (B,) in float64."""
        output = self.family.loss(self.tokens)(self.oracle(toy), batch)
        nll: Tensor = output["row_loss"]
        return nll.double()

    def oracle(self, toy: Toy) -> MaskedOracle:
        """Make an oracle whose highest logit is MASK, which the loss must exclude."""
        mask = self.tokens.mask
        return MaskedOracle(toy, self.tokens.vocab_size, mask, distractors=(mask,))


class MaskedBoundTests(MaskedSubject):
    """A bound: for an oracle its mean over noise is −log p of the row.

    The integral over noise levels from 0 to 1 is then the entropy of the maskable
    tokens given the others.
    """

    @pytest.mark.parametrize("prompted", [True, False])
    def test_bound_of_oracle_equals_entropy(self, prompted: bool) -> None:
        """Sums over rows and mask patterns, and integrates over time by quadrature."""
        toy = self.toy(prompted=prompted)
        batch, chances = self.enumerated(toy, *self.interval)
        nll = self.row_nll(toy, batch)
        measured = float((chances * nll).sum())
        expected = self.bound(toy, *self.interval) + self.prior(toy)
        assert measured == pytest.approx(expected, rel=1e-4)
        if exact_ends(self.spec):
            assert measured == pytest.approx(toy.conditional_entropy(), rel=1e-4)

    @pytest.mark.parametrize("right", [True, False])
    def test_bound_of_every_row_is_its_nll_under_the_network(self, right: bool) -> None:
        """For the true distribution and another one. Skips ends that are not exact."""
        if not exact_ends(self.spec):
            pytest.skip("the bound has further terms")
        toy = self.toy()
        batch, chances = self.enumerated(toy, *self.interval)
        believed = toy if right else Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        rows = self.patterns(toy)[0].repeat(NODES)
        share = chances / toy.probs[rows] * self.row_nll(believed, batch)
        found = torch.zeros(len(toy), dtype=torch.float64).index_add(0, rows, share)
        torch.testing.assert_close(found, believed.nll(), rtol=1e-3, atol=1e-4)

    def test_loss_is_divided_by_maskable_tokens(self) -> None:
        """Dividing by the number of masked tokens would be another objective."""
        toy = self.toy()
        batch, _ = self.enumerated(toy, *self.interval)
        output = self.family.loss(self.tokens)(self.oracle(toy), batch)
        assert output["normalizer"].equal(batch["maskable"].sum(1))

    def test_rows_are_multiplied_by_their_time_weight(self) -> None:
        """One over the density of the times; all but the prior term."""
        toy = self.toy()
        batch, _ = self.enumerated(toy, *self.interval)
        half = batch | {"time_weight": torch.full_like(batch["time_weight"], 0.5)}
        prior = self.prior_per_token * batch["maskable"].sum(1)
        full, found = (self.row_nll(toy, each) for each in (batch, half))
        torch.testing.assert_close(found, prior + (full - prior) / 2)

    def test_loss_without_masks_is_zero(self) -> None:
        toy = self.toy()
        batch = self.corrupted(toy, torch.arange(len(toy)), toy.answer & False, 0.5)
        model = self.network()
        output = self.family.loss(self.tokens)(model, batch)
        nothing = pytest.approx(self.prior_per_token, rel=1e-3, abs=1e-15)
        assert output["loss"].item() == nothing
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    @pytest.mark.parametrize("evaluation", [True, False])
    def test_estimate_on_collated_batches_equals_bound(self, evaluation: bool) -> None:
        """Evaluation integrates over all times, training over t ≥ `sampling_eps`."""
        toy = self.toy()
        if use(toy) not in self.family.collators:
            pytest.skip("the family has no collator for prompts")
        rows = toy.sample(6000)
        batch = training_batch(self, toy, rows, evaluation=evaluation)
        nll = self.row_nll(toy, batch)
        start = 0.0 if evaluation else self.sampling_eps
        expected = self.bound(toy, start, 1.0) + self.prior(toy)
        if evaluation:
            expected += self.reconstruction(toy)
        error = float(nll.std()) / math.sqrt(len(nll))
        assert abs(float(nll.mean()) - expected) < 5 * error
        assert error < 0.1 * expected


class TimeWeightTests(MaskedSubject):
    """`w(t) · Σ_masked −log p(x_i | z_t)` of every row (arXiv:2406.07524, eq. 10)."""

    def test_rows_are_weighted_by_their_time(self) -> None:
        """For every row: w(t) times the sum over its masked tokens."""
        toy = self.toy()
        batch, _ = self.enumerated(toy, *self.interval)
        plain, nll = self.masked_nll(toy, batch), self.row_nll(toy, batch)
        schedule = noise_schedule(self.spec)
        expected = loss_weight(
            schedule, batch["t"]
        ) * plain + self.prior_per_token * batch["maskable"].sum(1)
        torch.testing.assert_close(nll, expected, rtol=1e-4, atol=1e-6)

    def test_rows_at_time_zero_are_reconstruction_term(self) -> None:
        """If α(0) < 1, a row at t = 0 has the weight 1."""
        if exact_ends(self.spec):
            pytest.skip("nothing is masked at t = 0")
        toy = self.toy()
        rows, masks = self.patterns(toy)
        batch = self.corrupted(toy, rows, masks, 0.0)
        plain = self.masked_nll(toy, batch)
        torch.testing.assert_close(
            self.row_nll(toy, batch), plain, rtol=1e-4, atol=1e-6
        )

    def test_loss_takes_one_forward_pass(self) -> None:
        toy = self.toy()
        oracle = self.oracle(toy)
        self.family.loss(self.tokens)(oracle, self.enumerated(toy, *self.interval)[0])
        assert oracle.calls == 1


class MaskedMinimiserTests(MaskedSubject):
    """No likelihood, but least for p(x_i | visible tokens)."""

    def test_expected_loss_is_least_for_the_oracle(self) -> None:
        toy = self.toy()
        rows, masks = self.patterns(toy)
        chance = self.chance(toy, rows, masks, 0.5)
        batch = self.corrupted(toy, rows, masks, 0.5)
        loss = self.family.loss(self.tokens)

        def expected(model: nn.Module) -> float:
            return float((chance * loss(model, batch)["row_loss"].double()).sum())

        assert_minimum(self.oracle(toy), expected)


def quadrature(low: float, high: float) -> list[tuple[float, float]]:
    """Return Gauss–Legendre nodes between two levels, and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = (high - low) / 2
    return [
        (low + half * (float(node) + 1), half * float(weight))
        for node, weight in zip(nodes, weights, strict=True)
    ]

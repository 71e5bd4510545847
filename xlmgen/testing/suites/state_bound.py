"""Tests of bounds of diffusion with random tokens, which are exact for an oracle."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import alpha as alpha_at
from xlmgen.testing.schedule import exact_ends, noise_schedule
from xlmgen.testing.suites.loss import Batch, training_batch
from xlmgen.testing.suites.state_subject import LEVELS, StateSubject, Wide
from xlmgen.testing.toy import Toy


class StateBoundTests(StateSubject):
    """A bound: for the oracle that does not see a token it is −log p of the row."""

    @pytest.mark.parametrize("prompted", [True, False])
    def test_bound_of_oracle_equals_entropy(self, prompted: bool) -> None:
        """Sums over rows and noised tokens, and integrates over time by quadrature.

        Without exact ends it exceeds the entropy by the gaps of both ends.
        """
        toy = self.toy(prompted=prompted)
        measured = float((toy.probs * self.bounds(toy, toy)).sum())
        gap = float((toy.probs * self.gaps(toy, toy)).sum())
        assert gap >= 0
        assert measured == pytest.approx(toy.conditional_entropy() + gap, rel=3e-4)

    def test_bound_of_oracle_that_sees_the_token_is_larger(self) -> None:
        """For p(x_i | z) in place of p(x_i | z without z_i), by the definition."""
        toy = self.toy(prompted=False)
        batch, weights = self.quadrature(toy, 0.0)
        oracles = [self.state_oracle(toy, own=own) for own in (False, True)]
        right, wrong = (
            float((weights * self.row_loss(oracle, batch)).sum()) for oracle in oracles
        )
        expected = [
            float((weights * self.definition(oracle, batch)).sum())
            for oracle in oracles
        ]
        difference = expected[1] - expected[0]
        assert difference > 1e-3
        assert wrong - right == pytest.approx(difference, rel=0.01)

    def test_bound_of_every_row_is_its_nll_under_the_network(self) -> None:
        """For a distribution that is not the true one; and the gaps of both ends."""
        toy = self.toy(prompted=False)
        believed = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        found = self.bounds(toy, believed)
        expected = believed.nll() + self.gaps(toy, believed)
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-4)

    def test_loss_is_divided_by_noisable_tokens(self) -> None:
        toy = self.toy()
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, self.time(0.3))
        output = self.family.loss(self.tokens)(self.state_oracle(toy, own=False), batch)
        assert output["normalizer"].equal(batch["noisable"].sum(1))

    def test_rows_are_multiplied_by_their_time_weight(self) -> None:
        """One over the density of the times; all but the prior term."""
        toy = self.toy()
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, self.time(0.3))
        oracle = self.state_oracle(toy, own=False)
        half = batch | {"time_weight": torch.full_like(batch["time_weight"], 0.5)}
        prior = self.priors(batch)
        full, found = (self.row_loss(oracle, each) for each in (batch, half))
        torch.testing.assert_close(found, prior + (full - prior) / 2)

    def test_row_without_signal_has_no_loss_and_finite_gradients(self) -> None:
        """At t = 1 nothing of a token is left: its weight is infinite, its loss 0."""
        if self.ratios or alpha_at(noise_schedule(self.spec), 1.0) > 1e-6:
            pytest.skip("wrong ratios cost something; or the noise does")
        toy, model = self.toy(), self.network()
        rows, noised = self.patterns(toy)
        possible = self.chance(toy, rows, noised, torch.ones(len(rows))) > 0
        batch = self.batch(toy, rows[possible], noised[possible], torch.ones(()))
        output = self.family.loss(self.tokens)(model, batch)
        prior = self.priors(batch)
        found = output["row_loss"].double()
        torch.testing.assert_close(found, prior, rtol=0.05, atol=2e-6)
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() < 1e-4, name

    @pytest.mark.parametrize("evaluation", [True, False])
    def test_estimate_on_collated_batches_equals_bound(self, evaluation: bool) -> None:
        """Evaluation integrates over all times, training over t ≥ `sampling_eps`."""
        toy = self.toy(prompted=False)
        oracle = self.state_oracle(toy, own=False)
        batch = training_batch(self, toy, toy.sample(6000), evaluation=evaluation)
        found = self.row_loss(oracle, batch)
        part = self.spec.noise_schedule
        assert part is not None
        start = 0.0 if evaluation else float(part.options["sampling_eps"])
        if self.noise.mask is not None:
            start = start**4  # the smallest time for the smallest draw
        nodes, weights = self.quadrature(toy, start)
        expected = float((weights * self.row_loss(oracle, nodes)).sum())
        expected += self.prior(toy) * (1 - float(weights.sum()))
        if evaluation:
            expected += self.reconstruction(toy)
        error = float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean()) - expected) < 5 * error
        assert error < 0.1 * expected


class RowDefinitionTests(StateSubject):
    """The loss of every row by its definition, which a subclass gives."""

    def test_rows_equal_their_definition_term_by_term(self) -> None:
        """For several noise levels and networks, from nearly clean to nearly noise."""
        toy = self.toy()
        rows, noised = self.patterns(toy)
        some = slice(None, None, 29)
        rows, noised = rows[some], noised[some]
        for level in LEVELS:
            batch = self.batch(toy, rows, noised, self.time(level))
            for model in self.networks(toy):
                expected = self.reference(model, batch)
                # A sum has the precision of its largest term.
                found, rounding = self.row_loss(Wide(model), batch), self.terms(batch)
                close = 1e-6 * expected.abs() + 1e-8 + 2e-15 * rounding
                assert ((found - expected).abs() <= close).all(), level
                found, rounding = self.row_loss(model, batch), self.slopes(batch)
                close = 1e-4 * expected.abs() + 2e-6 + 2e-6 * rounding
                assert ((found - expected).abs() <= close).all(), level

    def test_loss_takes_one_forward_pass(self) -> None:
        toy = self.toy()
        rows, noised = self.patterns(toy)
        oracle = self.state_oracle(toy, own=False)
        batch = self.batch(toy, rows, noised, self.time(0.3))
        self.family.loss(self.tokens)(oracle, batch)
        assert oracle.calls == 1

    def networks(self, toy: Toy) -> list[nn.Module]:
        """Both oracles and a network that is wrong about everything."""
        logits = torch.linspace(-3, 3, self.tokens.vocab_size).roll(3)
        logits[list(self.suppress_tokens)] = 8.0
        return [
            self.state_oracle(toy, own=False),
            self.state_oracle(toy, own=True),
            FixedLogits(toy, logits),
        ]

    def reference(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of every row by its definition, (B,) in float64."""
        return self.definition(model, batch) + self.priors(batch)

    def terms(self, batch: Batch) -> Tensor:
        """The size (B,) of the terms that add up to the loss of every row."""
        raise NotImplementedError

    def slopes(self, batch: Batch) -> Tensor:
        """The slope (B,) of every row's loss in the logarithms of the prediction."""
        return self.terms(batch)


class StateEntropyTests(RowDefinitionTests):
    """`−α′/(K α) Σ_{y ≠ z} [s − r ln s + r (ln r − 1)]` (arXiv:2412.10193)."""

    def test_rows_at_time_zero_are_reconstruction_term(self) -> None:
        """If α(0) < 1, a row at t = 0 is −Σ log p(x_i | z)."""
        if exact_ends(self.spec):
            pytest.skip("nothing is noised at t = 0")
        toy = self.toy(prompted=False)
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, torch.zeros(()))
        for model in self.networks(toy):
            found = self.row_loss(Wide(model), batch)
            expected = self.token_nll(model, batch)
            expected += self.priors(batch)
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)

    def terms(self, batch: Batch) -> Tensor:
        """The rate, times Σ r_y and its largest logarithm."""
        return self.sizes(batch, torch.ones_like(batch["t"]))

    def slopes(self, batch: Batch) -> Tensor:
        """Near t = 1 a prediction of the clean token has the share Kα in a ratio."""
        if self.ratios:
            return self.terms(batch)
        alpha = self.noise(batch["t"])[0]
        return self.sizes(batch, (self.size * alpha).clamp(max=1))

    def sizes(self, batch: Batch, factor: Tensor) -> Tensor:
        """Sum over the tokens of every row, times a factor of the row (B,)."""
        t, z = batch["t"], batch["input_ids"]
        alpha, drawn = self.noise(t)
        noise = drawn.gather(1, z)
        clean = alpha[:, None] + noise
        here = torch.where(z == batch["target_ids"], clean, noise)
        sizes = self.noise.rate(t).gather(1, z) / here * (1 + (clean / noise).log())
        return factor * torch.where(batch["noisable"], sizes, 0.0).sum(1)

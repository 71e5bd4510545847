"""Tests of bounds of diffusion with random tokens, which are exact for an oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import alpha as alpha_at
from xlmgen.testing.schedule import exact_ends, noise_schedule, slope
from xlmgen.testing.state import StateOracle, score_entropy
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch, training_batch
from xlmgen.testing.toy import ANSWER, Toy

NODES = 24
"""Nodes of a quadrature, which is precise to 10⁻⁴ for every schedule."""

LEVELS = [1e-6, 1e-3, 0.2, 0.6, 0.99, 1 - 1e-5]
"""Noise levels 1 − α at which single rows are compared."""


class StateSubject(FamilyTests):
    """A family with uniform noise, and batches that are built without its collator."""

    @property
    def size(self) -> int:
        return len(self.ordinary)

    def state_oracle(self, toy: Toy, *, own: bool) -> StateOracle:
        """An oracle with the highest logits for ids that must be excluded."""
        distractors = self.suppress_tokens
        return StateOracle(
            *(toy, self.noise), own=own, ratios=self.ratios, distractors=distractors
        )

    def patterns(self, toy: Toy) -> tuple[Tensor, Tensor]:
        """Enumerate pairs of a row's index and its noised tokens, (…,) and (…, L)."""
        symbols = self.noise.symbols
        choices = torch.tensor(list(product(symbols, repeat=ANSWER)))
        rows, noised = [], []
        for row, answer in enumerate(toy.answer):
            number = int(answer.sum())
            chosen = choices[: len(symbols) ** number, ANSWER - number :]
            ids = toy.rows[row].repeat(len(chosen), 1)
            ids[:, answer] = chosen
            rows.append(torch.full((len(chosen),), row))
            noised.append(ids)
        return torch.cat(rows), torch.cat(noised)

    def chance(self, toy: Toy, rows: Tensor, noised: Tensor, t: Tensor) -> Tensor:
        """Probability of rows and their noised tokens at times (…), in float64."""
        alpha, drawn = self.noise(t)
        same = noised == toy.rows[rows]
        each = alpha[:, None] * same + drawn.gather(1, noised)
        return toy.probs[rows] * torch.where(toy.answer[rows], each, 1.0).prod(1)

    def batch(self, toy: Toy, rows: Tensor, noised: Tensor, t: Tensor) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        clean, attended, answer = toy.rows[rows], toy.attended[rows], toy.answer[rows]
        return {
            "input_ids": noised,
            "attention_mask": None if attended.all() else attended,
            "target_ids": clean,
            "noisable": answer,
            "noisable_positions": answer.flatten().nonzero().squeeze(1),
            "noised_positions": (noised != clean).flatten().nonzero().squeeze(1),
            "t": t.float().expand(len(rows)),
            "time_weight": torch.ones(len(rows)),
        }

    def time(self, level: float) -> Tensor:
        """A time in float32 at which about this share of the tokens is noise."""
        if self.noise.mask is not None:
            return torch.tensor(level)
        level = min(max(level, self.levels[0]), self.levels[1])
        schedule = noise_schedule(self.spec)
        return schedule.inverse(torch.tensor(1 - level, dtype=torch.float64)).float()

    @property
    def levels(self) -> tuple[float, float]:
        """The noise levels 1 − α at the ends."""
        schedule = noise_schedule(self.spec)
        return 1 - alpha_at(schedule, 0.0), 1 - alpha_at(schedule, 1.0)

    def row_loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The family's loss of every row, (B,) in float64."""
        found: Tensor = self.family.loss(self.tokens)(model, batch)["row_loss"]
        return found.double()

    def definition(self, model: nn.Module, batch: Batch) -> Tensor:
        """The integrand of every row's bound by the definition of the noise, (B,)."""
        symbols = torch.tensor(self.noise.symbols)
        logits = model(batch["input_ids"], batch["attention_mask"], t=batch["t"])
        logits = logits.double()
        logits[..., list(self.suppress_tokens)] = -torch.inf
        p = logits[..., symbols].softmax(-1)  # (B, L, S); MASK is no clean token
        x, z = (
            (batch[key][..., None] == symbols).long().argmax(-1)
            for key in ("target_ids", "input_ids")
        )
        alpha, drawn = self.noise(batch["t"])
        alpha, drawn = alpha[:, None, None], drawn[:, None, symbols]
        clean = F.one_hot(x, len(symbols))
        predicted = p if self.ratios else drawn + alpha * p
        terms = score_entropy(predicted, drawn + alpha * clean, z)
        terms = terms * self.noise.rate(batch["t"])[:, symbols].gather(1, z)
        some = batch["noisable"] & (alpha[..., 0] > 0)  # else nothing is left of x
        return torch.where(some, terms, 0.0).sum(1)

    def quadrature(self, toy: Toy, start: float) -> tuple[Batch, Tensor]:
        """Enumerate rows and noised tokens at the nodes of a quadrature in time.

        Args:
            start: the smallest time.

        Returns:
            the batch, and the weight of each of its rows in the expectation.
        """
        rows, noised = self.patterns(toy)
        times, weights = [], []
        for t, share in self.times(start):
            every = t.expand(len(rows))
            times.append(every)
            weights.append(self.chance(toy, rows, noised, every) * share)
        batch = self.batch(
            toy, rows.repeat(NODES), noised.repeat(NODES, 1), torch.cat(times)
        )
        return batch, torch.cat(weights)

    def times(self, start: float) -> Iterator[tuple[Tensor, float]]:
        """Nodes of a quadrature from a time to 1, even in the noise level 1 − α."""
        schedule = noise_schedule(self.spec)
        if self.noise.mask is not None:
            for node, share in sine_nodes(NODES):
                length = 1 - start
                yield torch.tensor(start + length * node), share * length
            return
        low, high = 1 - alpha_at(schedule, start), self.levels[1]
        for node, share in sine_nodes(NODES):
            t = self.time(low + (high - low) * node)
            yield t, share * (high - low) / -float(slope(schedule, t))

    @property
    def prior_per_token(self) -> float:
        """KL divergence of a noised token at t = 1 from the noise of generation."""
        if self.noise.mask is not None:
            return 0.0
        left = alpha_at(noise_schedule(self.spec), 1.0)
        q = torch.full((self.size,), (1 - left) / self.size, dtype=torch.float64)
        q[0] += left
        return max(0.0, float((q * (self.size * q).log()).sum()))

    def priors(self, batch: Batch) -> Tensor:
        """The prior term of every row, (B,) in float64."""
        return self.prior_per_token * batch["noisable"].sum(1).double()

    def prior(self, toy: Toy) -> float:
        """The expected prior term of a row."""
        return self.prior_per_token * float((toy.probs * toy.answer.sum(1)).sum())

    def token_nll(self, model: nn.Module, batch: Batch) -> Tensor:
        """−Σ log p(x_i | z), (B,) in float64, by Bayes' rule: p(x_i) q(z_i | x_i).

        p(x_i) is what the network predicts. Ratios give the distribution of a noised
        token, which at t = 0 is nearly that of the clean one.
        """
        logits = model(batch["input_ids"], batch["attention_mask"], t=batch["t"])
        log_c = logits[..., self.ordinary].double().log_softmax(-1)  # (B, L, K)
        alpha, drawn = self.noise(batch["t"])
        ordinary = torch.tensor(self.ordinary)
        of_z = drawn.gather(1, batch["input_ids"])[..., None]
        evidence = of_z + alpha[:, None, None] * (
            batch["input_ids"][..., None] == ordinary
        )
        log_probs = (log_c + evidence.log()).log_softmax(-1)
        clean = batch["target_ids"][..., None] == ordinary
        found = torch.where(clean, log_probs, 0.0).sum(-1)
        return -torch.where(batch["noisable"], found, 0.0).sum(1)

    def reconstruction(self, toy: Toy) -> float:
        """The expected reconstruction term of a row; 0 with exact ends."""
        return float((toy.probs * self.reconstructions(toy, toy)).sum())

    def reconstructions(self, toy: Toy, believed: Toy) -> Tensor:
        """The reconstruction term (S,) of every row under a distribution."""
        if self.exact:
            return torch.zeros_like(toy.probs)
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, torch.zeros(()))
        chance = self.chance(toy, rows, noised, batch["t"]) / toy.probs[rows]
        nll = self.token_nll(self.state_oracle(believed, own=False), batch)
        return sums(chance * nll, rows, len(toy))

    def gaps(self, toy: Toy, believed: Toy) -> Tensor:
        """By how much the bound (S,) of every row exceeds its −log p; 0 for exact ends.

        At t = 0 tokens are reconstructed independently, and at t = 1 they are generated
        from noise, which differs from what is left of a row. Both gaps are sums over
        the noised rows, of log p(x | z) and log p(z) under the distribution.
        """
        gaps = torch.zeros_like(toy.probs)
        if self.exact:
            return gaps
        rows, noised = self.patterns(toy)
        context = believed.probs * believed.nll().exp()  # p(given tokens and length)
        powers = self.tokens.vocab_size ** torch.arange(noised.shape[1])
        same = (noised * powers).sum(1)  # a number for every noised row
        number = int(same.max()) + 1
        for end in (0.0, 1.0):
            t = torch.full((len(rows),), end)
            joint = self.chance(believed, rows, noised, t)
            total = sums(joint, same, number)[same]  # p(z)
            if end == 0:
                log_ratio = (joint / total).log()
            else:
                each = toy.answer[rows].sum(1) * math.log(self.size)
                log_ratio = (total / context[rows]).log() + each
            chance = joint / believed.probs[rows]
            gaps += sums(chance * log_ratio, rows, len(toy))
        return gaps + self.reconstructions(toy, believed)

    def bounds(self, toy: Toy, believed: Toy, *, own: bool = False) -> Tensor:
        """The bound (S,) of every row for the oracle of a distribution."""
        batch, weights = self.quadrature(toy, 0.0)
        rows = self.patterns(toy)[0].repeat(NODES)
        share = weights / toy.probs[rows]
        losses = self.row_loss(self.state_oracle(believed, own=own), batch)
        found = sums(share * losses, rows, len(toy))
        prior = self.prior_per_token * toy.answer.sum(1)  # in every loss
        found += prior * (1 - sums(share, rows, len(toy)))
        return found + self.reconstructions(toy, believed)

    @property
    def exact(self) -> bool:
        """Whether no noise is left at t = 0, and nothing else at t = 1."""
        return self.noise.mask is not None or exact_ends(self.spec)


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


class Wide(nn.Module):
    """A network with outputs in float64."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.head = inner, inner.head

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        hidden: Tensor = self.inner(*inputs, **options)
        return hidden.double()


def sums(values: Tensor, groups: Tensor, number: int) -> Tensor:
    """Add up values (N,) by the number (N,) of their group: (number,)."""
    return values.new_zeros(number).index_add(0, groups, values)


def sine_nodes(number: int) -> list[tuple[float, float]]:
    """Nodes in (0, 1) of Gauss–Legendre after t = sin²(π u / 2), twice, and weights.

    The substitutions flatten singularities at both ends, and put nodes where t^½ is
    small: hybrid noise of a large share has most of its bound there.
    """
    nodes, weights = np.polynomial.legendre.leggauss(number)
    t, w = (nodes + 1) / 2, weights / 2
    for _ in range(2):
        t, w = np.sin(np.pi * t / 2) ** 2, w * np.pi / 2 * np.sin(np.pi * t)
    return list(zip(t.tolist(), w.tolist(), strict=True))

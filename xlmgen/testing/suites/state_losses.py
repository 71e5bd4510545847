"""Tests of the other losses under uniform noise: their values and minimisers."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.schedule import loss_weight, noise_schedule
from xlmgen.testing.suites.loss import Batch
from xlmgen.testing.suites.minimum import Expectation, assert_minimum
from xlmgen.testing.suites.state_subject import LEVELS, StateSubject, Wide
from xlmgen.testing.toy import Toy


class StateMinimiserSubject(StateSubject):
    """A loss, and all the ways in which its tokens are noised."""

    def enumerated(self, toy: Toy, level: float) -> tuple[Batch, Tensor]:
        """Enumerate rows, which tokens are noised, and to what; and their weights."""
        schedule, t = noise_schedule(self.spec), self.time(level)
        alpha = float(schedule.alpha(t.double()))
        rows, ids, coins, weights = [], [], [], []
        for row, answer in enumerate(toy.answer):
            number = int(answer.sum())
            for draw in product((None, *self.ordinary), repeat=number):
                clean = toy.rows[row]
                coin = torch.zeros_like(answer)
                coin[answer] = torch.tensor([v is not None for v in draw])
                noised = clean.clone()
                drawn = [v for v in draw if v is not None]
                noised[coin] = torch.tensor(drawn, dtype=torch.int64)
                rows.append(row)
                ids.append(noised)
                coins.append(coin)
                hits = int(coin.sum())
                chance = ((1 - alpha) / self.size) ** hits * alpha ** (number - hits)
                weights.append(float(toy.probs[row]) * chance)
        batch = self.batch(toy, torch.tensor(rows), torch.stack(ids), t)
        flat = torch.stack(coins).flatten().nonzero().squeeze(1)
        batch["noised_positions"] = flat
        return batch, torch.tensor(weights, dtype=torch.float64)


class StateMinimiserTests(StateMinimiserSubject):
    """No likelihood, but least for what the family says that the network predicts."""

    def test_minimiser_is_what_the_family_says_that_it_predicts(self) -> None:
        """p(x_i | z without z_i) if noised tokens are scored, p(x_i | z) if all are."""
        toy = self.toy(prompted=False)
        own = "predicts:clean" in self.provided
        for level in (0.3, 0.8):
            batch, weights = self.enumerated(toy, level)

            def expected(
                model: nn.Module, batch: Batch = batch, weights: Tensor = weights
            ) -> float:
                timed = Timed(Wide(model), batch["t"])
                return float((weights * self.row_loss(timed, batch)).sum())

            right, wrong = (
                expected(self.state_oracle(toy, own=which)) for which in (own, not own)
            )
            assert right < wrong - 1e-3
            assert_minimum(self.state_oracle(toy, own=own), expected)


class NoisedTokensTests(StateMinimiserSubject):
    """Mean cross-entropy of the noised tokens, or of all that may be noised."""

    def test_loss_is_mean_over_scored_tokens(self) -> None:
        toy, model = self.toy(), self.network()
        batch, _ = self.enumerated(toy, 0.4)
        batch = first_rows(batch, 50)
        output = self.family.loss(self.tokens)(model, batch)
        scored = self.scored(batch)
        time = {"t": batch["t"]} if self.timed else {}
        with torch.no_grad():
            hidden = model(batch["input_ids"], batch["attention_mask"], **time)
            logits = model.head(hidden).double()  # type: ignore[operator]
        log_probs = logits[..., self.ordinary].log_softmax(-1)
        place = torch.full((self.tokens.vocab_size,), -1)
        place[self.ordinary] = torch.arange(self.size)
        targets = place[batch["target_ids"]].clamp(min=0)[..., None]
        nll = -log_probs.gather(-1, targets)[..., 0]
        expected = float(nll[scored].mean())
        assert output["loss"].item() == pytest.approx(expected, rel=1e-4)
        assert output["normalizer"].equal(scored.sum(1))

    def test_minimiser_depends_on_the_scored_tokens(self) -> None:
        seen = "predicts:clean" in self.provided
        assert seen == (self.spec.loss.options["scored"] == "all")

    def test_loss_without_scored_tokens_is_zero(self) -> None:
        toy, model = self.toy(), self.network()
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, self.time(0.5))
        none = torch.empty(0, dtype=torch.int64)
        batch |= {"noisable_positions": none, "noised_positions": none}
        batch["noisable"] = batch["noisable"] & False
        output = self.family.loss(self.tokens)(model, batch)
        assert output["loss"].item() == 0
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    @property
    def timed(self) -> bool:
        return "time_input" in self.provided

    def scored(self, batch: Batch) -> Tensor:
        """The scored positions, (B, L) bool."""
        if self.spec.loss.options["scored"] == "all":
            noisable: Tensor = batch["noisable"]
            return noisable
        scored = torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
        scored.view(-1)[batch["noised_positions"]] = True
        return scored


class PosteriorBoundSubject(StateSubject):
    """A bound for networks that predict p(x_i | z), integrated over time."""

    def mean(self, toy: Toy) -> Expectation:
        """The mean of the bound of a network."""
        batch, weights = self.quadrature(toy, 0.0)

        def expected(model: nn.Module) -> float:
            timed = Timed(Wide(model), batch["t"])
            return float((weights * self.row_loss(timed, batch)).sum())

        return expected


class PosteriorBoundTests(PosteriorBoundSubject):
    """A bound that is least for p(x_i | z), and at least the entropy."""

    def test_bound_is_least_for_the_oracle_that_sees_the_token(self) -> None:
        toy = self.toy(prompted=False)
        expected = self.mean(toy)
        right, wrong = (
            expected(self.state_oracle(toy, own=own)) for own in (True, False)
        )
        assert toy.conditional_entropy() * (1 - 1e-3) < right < wrong
        assert_minimum(self.state_oracle(toy, own=True), expected)

    def test_loss_is_divided_by_noisable_tokens(self) -> None:
        toy = self.toy()
        rows, noised = self.patterns(toy)
        batch = self.batch(toy, rows, noised, self.time(0.3))
        output = self.family.loss(self.tokens)(self.state_oracle(toy, own=True), batch)
        assert output["normalizer"].equal(batch["noisable"].sum(1))


class GeneralisedKlTests(PosteriorBoundSubject):
    """`w(t) Σ_i [1 − d(z_i) − 1[x_i ≠ z_i] (1 + ln d(x_i))]` (arXiv:2407.15595)."""

    def test_rows_are_divergences_of_rates(self) -> None:
        """Σ_v of rate_θ − rate + rate ln(rate / rate_θ) over all jumps of a token."""
        toy = self.toy()
        rows, noised = self.patterns(toy)
        rows, noised = rows[::29], noised[::29]
        for level in LEVELS:
            batch = self.batch(toy, rows, noised, self.time(level))
            model = self.state_oracle(toy, own=True)
            time = {"t": batch["t"]}
            logits = model(batch["input_ids"], batch["attention_mask"], **time)
            d = logits[..., self.ordinary].double().softmax(-1)
            w = loss_weight(noise_schedule(self.spec), batch["t"])
            expected = torch.zeros(len(rows), dtype=torch.float64)
            for row, column in batch["noisable"].nonzero().tolist():
                x, z = (
                    self.ordinary.index(int(batch[key][row, column]))
                    for key in ("target_ids", "input_ids")
                )
                for v in range(self.size):
                    if v == z:
                        continue  # no jump
                    rate = float(w[row] * d[row, column, v])
                    expected[row] += rate
                    if v == x:
                        true = float(w[row])
                        ratio = torch.tensor(true / rate, dtype=torch.float64)
                        expected[row] += true * float(ratio.log()) - true
            found = self.row_loss(Timed(Wide(model), batch["t"]), batch)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)

    def test_bound_is_not_tight(self) -> None:
        toy = self.toy(prompted=False)
        measured = self.mean(toy)(self.state_oracle(toy, own=True))
        assert measured > toy.conditional_entropy() * 1.02

    def test_loss_takes_one_forward_pass(self) -> None:
        toy = self.toy()
        rows, noised = self.patterns(toy)
        oracle = self.state_oracle(toy, own=True)
        batch = self.batch(toy, rows, noised, self.time(0.3))
        self.family.loss(self.tokens)(oracle, batch)
        assert oracle.calls == 1


class Timed(nn.Module):
    """A network with a time of its own, where the family's loss gives none."""

    def __init__(self, inner: nn.Module, t: Tensor) -> None:
        super().__init__()
        self.inner, self.head, self.t = inner, inner.head, t

    def forward(
        self, *inputs: Tensor, t: Tensor | None = None, positions: Tensor | None = None
    ) -> Tensor:
        hidden: Tensor = self.inner(
            *inputs, t=self.t if t is None else t, positions=positions
        )
        return hidden


def first_rows(batch: Batch, number: int) -> Batch:
    """The first rows of a batch."""
    length = batch["input_ids"].shape[1]
    return {
        key: value[value < number * length]
        if key.endswith("_positions")
        else value[:number]
        for key, value in batch.items()
        if isinstance(value, Tensor)
    } | {key: value for key, value in batch.items() if value is None}

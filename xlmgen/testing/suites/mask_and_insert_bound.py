"""The objective of families that insert and unmask, against exact answers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from xlmgen.runtime.noise import Rising
from xlmgen.testing.remnants import (
    MASKED,
    MISSING,
    VISIBLE,
    Remnants,
    fate_chances,
    insertion_slack,
    remnants,
)
from xlmgen.testing.schedule import rising
from xlmgen.testing.suites.growing import GrowingFamily
from xlmgen.testing.suites.loss import Batch, training_batch, use
from xlmgen.testing.toy import Toy

NODES = 24
"""Of a quadrature in v, where t = 1 − v²: the weights grow without end towards 1."""


class MaskAndInsertBoundTests(GrowingFamily):
    """Σ_masked w_b(t) · CE + Σ_gaps w_a(t) · divergence (arXiv:2509.01025).

    For the oracle of expectations its mean is the entropy of content and length, and
    for every token what the order of insertions adds (`insertion_slack`).
    """

    @pytest.mark.parametrize("prompted", [True, False])
    def test_oracles_loss_is_the_entropy_and_what_the_order_adds(
        self, prompted: bool
    ) -> None:
        """Over every row, every fate of its tokens, and the time by quadrature."""
        toy = self.toy(prompted=prompted)
        measured = self.rows_of(toy, toy) @ toy.probs
        if self.longest is None:
            expected = self.surprise(toy) @ toy.probs + self.slack(toy) @ toy.probs
        else:
            expected = self.plain_rows(toy) @ toy.probs
        assert float(measured) == pytest.approx(float(expected), rel=1e-3)

    def test_it_bounds_every_rows_probability(self) -> None:
        """Less what the order adds, for the true network and for a wrong one."""
        if self.longest is not None:
            pytest.skip("cross-entropies of gaps bound no likelihood")
        toy = self.toy(prompted=False)
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        for believed in (toy, wrong):
            bound = self.rows_of(toy, believed) - self.slack(toy)
            assert (bound > self.surprise(believed) - 1e-2).all()

    def test_a_wrong_network_pays_more(self) -> None:
        toy = self.toy(prompted=False)
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        right = float(self.rows_of(toy, toy) @ toy.probs)
        assert float(self.rows_of(toy, wrong) @ toy.probs) > right + 0.05

    def test_every_row_is_weighted_by_its_time(self) -> None:
        """Row by row, term by term, at several times in one batch."""
        toy = self.toy()
        left = remnants(toy, (MISSING, MASKED, VISIBLE))
        t = torch.tensor([0.05, 0.3, 0.6, 0.95])[torch.arange(len(left)) % 4]
        batch = self.hand_made(toy, left, t)
        batch["span"] = torch.full((len(left),), 0.8)
        nll = self.row_nll(toy, batch)
        torch.testing.assert_close(
            nll, 0.8 * self.plain(toy, left, t), rtol=1e-4, atol=1e-5
        )

    def test_all_tokens_of_the_answers_are_counted(self) -> None:
        toy = self.toy()
        left = remnants(toy, (MISSING, MASKED, VISIBLE))
        oracle = self.remnant_oracle(toy, (self.tokens.mask,))
        batch = self.hand_made(toy, left, torch.full((len(left),), 0.5))
        output = self.family.loss(self.tokens)(oracle, batch)
        assert output["num_tokens"].equal(left.fates.sum(1))
        assert oracle.calls == 1

    def test_a_gap_in_which_nothing_is_missing_has_a_gradient(self) -> None:
        """0 · log 0 is 0, and so is what it does to the weights."""
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

    def test_only_free_gaps_are_counted(self) -> None:
        toy = self.toy()
        left = remnants(toy, (MISSING, VISIBLE))
        batch = self.hand_made(toy, left, torch.full((len(left),), 0.5))
        batch["free"] = torch.zeros_like(left.free)
        assert self.row_nll(toy, batch).abs().max() == 0

    @pytest.mark.parametrize("evaluation", [True, False])
    def test_estimates_through_the_collator_agree(self, evaluation: bool) -> None:
        """Evaluation integrates over all times, training up to 1 − `sampling_eps`."""
        for toy in (self.toy(), self.toy(prompted=False)):
            if use(toy) not in self.family.collators:
                continue
            rows = toy.sample(2500)
            batch = training_batch(self, toy, rows, evaluation=evaluation)
            nll = self.row_nll(toy, batch)
            part = self.spec.noise_schedule
            assert part is not None
            eps = 0.0 if evaluation else float(part.options["sampling_eps"])
            expected = float(self.plain_rows(toy, end=1 - eps) @ toy.probs)
            error = float(nll.std()) / math.sqrt(len(nll))
            assert abs(float(nll.mean()) - expected) < 5 * error
            assert error < 0.1 * expected

    def surprise(self, toy: Toy) -> Tensor:
        """(S,) −log p(answer | prompt)."""
        total = {p: float(toy.probs[self.behind(toy, p)].sum()) for p in toy.prompts}
        before = torch.tensor([total[p] for p in toy.prompts], dtype=torch.float64)
        return -(toy.probs / before).log()

    def behind(self, toy: Toy, prompt: tuple[int, ...]) -> Tensor:
        return torch.tensor([other == prompt for other in toy.prompts])

    def slack(self, toy: Toy) -> Tensor:
        """(S,) what the order of the insertions adds to a row's loss."""
        return torch.tensor(
            [insertion_slack(len(target)) for target in toy.targets],
            dtype=torch.float64,
        )

    def rows_of(self, toy: Toy, believed: Toy) -> Tensor:
        """(S,) the mean loss of every row, by a network that believes in a toy."""

        def measured(left: Remnants, t: Tensor) -> Tensor:
            return self.row_nll(believed, self.hand_made(toy, left, t))

        return self.integrated(toy, measured)

    def plain_rows(self, toy: Toy, end: float = 1.0) -> Tensor:
        """(S,) the same for the toy's oracle, by the formula."""
        return self.integrated(toy, lambda left, t: self.plain(toy, left, t), end)

    def integrated(
        self, toy: Toy, nll: Callable[[Remnants, Tensor], Tensor], end: float = 1.0
    ) -> Tensor:
        """(S,) ∫ Σ chance · nll dt for every row, up to a time."""
        insert, unmask = rising(self.spec, "insert"), rising(self.spec, "unmask")
        left = remnants(toy, (MISSING, MASKED, VISIBLE))
        total = torch.zeros(len(toy), dtype=torch.float64)
        for time, share in quadrature(end):
            t = torch.full((len(left),), time)
            chances = fate_chances(insert, unmask, t[0])
            chance = (chances**left.fates).prod(1)
            total.index_add_(0, left.source, share * chance * nll(left, t))
        return total

    def plain(self, toy: Toy, left: Remnants, t: Tensor) -> Tensor:
        """(K,) float64: the oracle's loss of remnants at their times, term by term."""
        insert, unmask = rising(self.spec, "insert"), rising(self.spec, "unmask")
        oracle = self.remnant_oracle(toy, ())
        ids = left.ids.masked_fill(left.masked, self.tokens.mask)
        logits, gap = oracle(ids, left.attended, t=t)
        found = logits.double().log_softmax(-1).gather(-1, left.ids[..., None])[..., 0]
        tokens = -torch.where(left.masked, found, 0.0).sum(1)
        x = left.gaps.double()
        if self.longest is None:
            y = gap.double()
            terms = torch.where(x > 0, x * (x / y).log(), 0.0) + y - x
        else:
            terms = -gap.double().log_softmax(-1).gather(-1, left.gaps[..., None])
            terms = terms[..., 0]
        gaps = torch.where(left.free, terms, 0.0).sum(1)
        return rate(unmask, t) * tokens + rate(insert, t) * gaps

    def hand_made(self, toy: Toy, left: Remnants, t: Tensor) -> Batch:
        """The batch as the contract says, without the family's collator."""
        return {
            "input_ids": left.ids.masked_fill(left.masked, self.tokens.mask),
            "attention_mask": None if left.attended.all() else left.attended,
            "target_ids": left.ids,
            "masked_at": left.masked.flatten().nonzero().squeeze(1),
            "free": left.free,
            "missing": left.gaps,
            "num_tokens": left.fates.sum(1),
            "t": t,
            "span": torch.ones(len(left)),
        }

    def row_nll(self, toy: Toy, batch: Batch) -> Tensor:
        """(B,) float64: what the loss says of every row with the toy's oracle."""
        oracle = self.remnant_oracle(toy, (self.tokens.mask,))
        nll: Tensor = self.family.loss(self.tokens)(oracle, batch)["nll"]
        return nll.double()


def rate(schedule: Rising, t: Tensor) -> Tensor:
    """level′(t) / (1 − level(t)), by the definition of the derivative."""
    t, h = t.double(), 1e-6
    slope = (schedule.level(t + h) - schedule.level(t - h)) / (2 * h)
    return slope / (1 - schedule.level(t))


def quadrature(end: float) -> list[tuple[float, float]]:
    """Times from 0 to an end, exact in float32, and the length that each stands for."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    low = math.sqrt(1 - end)
    v = low + (1 - low) * (nodes + 1) / 2
    times = (1 - v**2).astype(np.float32)
    shares = weights * (1 - low) * v
    return list(zip(times.tolist(), shares.tolist(), strict=True))

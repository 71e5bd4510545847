"""Tests of the exact likelihood of next-token families."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xlmgen.testing.oracle import CausalOracle
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch, training_batch, use
from xlmgen.testing.toy import Toy


class LikelihoodTests(FamilyTests):
    """The loss of an oracle is known exactly."""

    @pytest.mark.parametrize("prompted", [True, False])
    def test_loss_of_oracle_equals_entropy(self, prompted: bool) -> None:
        toy = self.toy(prompted=prompted)
        batch = self.hand_made(toy)
        nll = self.row_nll(toy, batch)
        truth = -toy.probs.log() - self.before(toy)
        torch.testing.assert_close(nll, truth, rtol=1e-5, atol=1e-5)
        expected = float((toy.probs * truth).sum())
        assert float((toy.probs * nll).sum()) == pytest.approx(expected, abs=1e-5)

    def test_loss_of_wrong_network_is_cross_entropy(self) -> None:
        """The loss is H(p) + KL(p ‖ q) for a network with the distribution q."""
        toy = self.toy()
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        nll = self.row_nll(wrong, self.hand_made(toy))
        right = self.row_nll(toy, self.hand_made(toy))
        p = toy.probs.log() + self.before(toy)
        q = wrong.probs.log() + self.before(wrong)
        divergence = float((toy.probs * (p - q)).sum())
        assert divergence > 0.1
        paid = float((toy.probs * (nll - right)).sum())
        assert paid == pytest.approx(divergence, abs=1e-5)

    def test_loss_on_collated_batch_equals_entropy(self) -> None:
        for prompted in (True, False):
            toy = self.toy(prompted=prompted)
            if use(toy) in self.family.collators:
                nll = self.row_nll(toy, training_batch(self, toy))
                truth = -toy.probs.log() - self.before(toy)
                torch.testing.assert_close(nll, truth, rtol=1e-5, atol=1e-5)

    def test_every_scored_token_counts_once(self) -> None:
        toy = self.toy()
        loss = self.family.loss(self.tokens)
        oracle = CausalOracle(toy, self.tokens.vocab_size)
        output = loss(oracle, self.hand_made(toy))
        assert output["normalizer"].equal(self.scored(toy).sum(1))
        assert oracle.calls == 1

    def scored(self, toy: Toy) -> Tensor:
        """Return the scored tokens, (S, L) bool."""
        if not self.spec.collator.options.get("loss_on_prompt"):
            return toy.answer
        scored = toy.attended.clone()
        scored[:, 0] = False
        return scored

    def before(self, toy: Toy) -> Tensor:
        """Compute −log p of the start of every row, which is not scored, (S,)."""
        scored = self.scored(toy)
        start = scored.long().argmax(1)
        places = torch.arange(toy.rows.shape[1])
        own = places < start[:, None]  # (S, L)
        same = (toy.rows[:, None] == toy.rows[None]) | ~own[:, None]
        return -(same.all(-1).double() @ toy.probs).log()

    def hand_made(self, toy: Toy) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        scored = self.scored(toy)[:, 1:]
        return {
            "input_ids": toy.rows[:, :-1],
            "target_ids": toy.rows[:, 1:].masked_fill(~scored, -100),
            "scored_positions": scored.flatten().nonzero().squeeze(1),
            "documents": None,
        }

    def row_nll(self, toy: Toy, batch: Batch) -> Tensor:
        """Compute the loss of every row with the toy's oracle, (S,) in float64."""
        oracle = CausalOracle(toy, self.tokens.vocab_size)
        nll: Tensor = self.family.loss(self.tokens)(oracle, batch)["row_loss"]
        return nll.double()

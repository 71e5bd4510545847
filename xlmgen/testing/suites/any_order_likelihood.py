"""Tests of the exact likelihood of rows in any order."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor

from xlmgen.testing.oracle import OrderedOracle
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch, training_batch, use
from xlmgen.testing.toy import ANSWER, Toy

ORDERS = list(permutations(range(ANSWER)))


class AnyOrderLikelihoodTests(FamilyTests):
    """The loss of an oracle is −log p of every row, in every order."""

    def test_loss_in_every_order_is_log_probability(self) -> None:
        toy = self.toy()
        for order in ORDERS:
            nll = self.row_nll(toy, hand_made(toy, order))
            torch.testing.assert_close(nll, toy.nll(), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("prompted", [True, False])
    def test_loss_on_collated_batch_is_log_probability(self, prompted: bool) -> None:
        toy = self.toy(prompted=prompted)
        if use(toy) in self.family.collators:
            nll = self.row_nll(toy, training_batch(self, toy))
            torch.testing.assert_close(nll, toy.nll(), rtol=1e-5, atol=1e-5)

    def test_loss_of_wrong_network_is_cross_entropy(self) -> None:
        """The loss is H(p) + KL(p ‖ q) for a network with the distribution q."""
        toy = self.toy()
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        divergence = float((toy.probs * (wrong.nll() - toy.nll())).sum())
        assert divergence > 0.1
        for order in ORDERS[::2]:
            paid = self.row_nll(wrong, hand_made(toy, order)) - toy.nll()
            assert float((toy.probs * paid).sum()) == pytest.approx(
                divergence, abs=1e-5
            )

    def test_every_scored_token_counts_once(self) -> None:
        toy = self.toy()
        oracle = OrderedOracle(toy, self.tokens.vocab_size)
        output = self.family.loss(self.tokens)(oracle, hand_made(toy, ORDERS[-1]))
        assert output["normalizer"].equal(toy.answer.sum(1))
        assert oracle.calls == 1

    def row_nll(self, toy: Toy, batch: Batch) -> Tensor:
        """Compute the loss of every row with the toy's oracle, (S,) in float64."""
        oracle = OrderedOracle(toy, self.tokens.vocab_size)
        nll: Tensor = self.family.loss(self.tokens)(oracle, batch)["row_loss"]
        return nll.double()


def hand_made(toy: Toy, order: tuple[int, ...]) -> Batch:
    """Build a batch by its declaration, without the family's collator.

    Args:
        order: of the positions of the answer, counted from its first.
    """
    columns = torch.arange(toy.rows.shape[1]).repeat(len(toy), 1)
    columns[toy.answer] = (columns[toy.answer].view(-1, ANSWER)[:, order]).flatten()
    ids, scored = toy.rows.gather(1, columns), toy.answer[:, 1:]
    return {
        "input_ids": ids[:, :-1],
        "position_ids": columns[:, :-1],
        "next_position_ids": columns[:, 1:],
        "target_ids": ids[:, 1:].masked_fill(~scored, -100),
        "scored_positions": scored.flatten().nonzero().squeeze(1),
        "documents": None,
    }

"""Tests of the unweighted mean over selected tokens of masked language models."""

from __future__ import annotations

import torch
from torch import Tensor

from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch, masked_batch
from xlmgen.testing.suites.model import call
from xlmgen.testing.toy import Toy


class SelectedTokensTests(FamilyTests):
    """Mean cross-entropy of the selected tokens, masked or not, without MASK."""

    def test_loss_is_unweighted_mean(self) -> None:
        toy, model = self.toy(), self.network()
        batch = self.hand_made(toy, toy.answer & (toy.rows != 5))
        with torch.no_grad():
            output = self.family.loss(self.tokens)(model, batch)
            logits = call(
                model, batch["input_ids"], batch["attention_mask"], t=batch.get("t")
            )
        probs = logits.double().exp()
        probs[..., self.tokens.mask] = 0
        total, count = 0.0, 0
        for at in batch["masked_positions"].tolist():
            row, column = divmod(at, toy.rows.shape[1])
            p = probs[row, column]
            total -= float((p[toy.rows[row, column]] / p.sum()).log())
            count += 1
        assert count > 10
        assert abs(float(output["loss"]) - total / count) < 1e-4

    def test_loss_is_divided_by_selected_tokens(self) -> None:
        toy = self.toy()
        selected = toy.answer & (toy.rows != 5)
        output = self.family.loss(self.tokens)(
            self.network(), self.hand_made(toy, selected)
        )
        assert output["normalizer"].equal(selected.sum(1))

    def test_loss_without_selected_tokens_is_zero(self) -> None:
        toy, model = self.toy(), self.network()
        output = self.family.loss(self.tokens)(
            model, self.hand_made(toy, toy.answer & False)
        )
        assert output["loss"].item() == 0
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def hand_made(self, toy: Toy, selected: Tensor) -> Batch:
        """Build a batch of all rows; every other selected token is masked."""
        hidden = selected & (torch.arange(toy.rows.shape[1]) % 2 == 0)
        return masked_batch(self, toy, selected) | {
            "input_ids": toy.rows.masked_fill(hidden, self.tokens.mask)
        }

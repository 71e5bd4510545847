"""Tests of losses weighted by the visible tokens nearby."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import loss_weight, noise_schedule
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.loss import Batch, masked_batch, training_batch
from xlmgen.testing.suites.model import call

SPAN = 0.75
"""`time_weight` of the batches; other than 1, so that omitting it fails."""


class ContextWeightTests(FamilyTests):
    """½ Σ over visible j of p (1 − p)^(|i − j| − 1) (arXiv:2508.15487)."""

    def test_loss_is_weighted_sum_over_maskable_tokens(self) -> None:
        """Checks every token, for rows of several lengths and many mask patterns."""
        batch, model = self.batch(), self.network()
        output = self.family.loss(self.tokens)(model, batch)
        with torch.no_grad():
            logits = call(
                model, batch["input_ids"], batch["attention_mask"], t=batch.get("t")
            ).double()
        logits[..., self.tokens.mask] = -torch.inf
        log_probs = logits.log_softmax(-1)
        expected = torch.zeros(len(logits), dtype=torch.float64)
        for row, ids in enumerate(batch["input_ids"].tolist()):
            for place, id_ in enumerate(ids):
                if id_ == self.tokens.mask:
                    target = batch["target_ids"][row, place]
                    weight = self.weight(batch, row, place)
                    expected[row] -= weight * log_probs[row, place, target]
        torch.testing.assert_close(
            output["row_loss"].double(), expected, rtol=1e-4, atol=1e-6
        )
        mean = expected.sum() / batch["maskable"].sum()
        torch.testing.assert_close(output["loss"].double(), mean, rtol=1e-4, atol=1e-6)

    def test_loss_is_divided_by_all_maskable_tokens(self) -> None:
        batch = self.batch()
        output = self.family.loss(self.tokens)(self.network(), batch)
        assert output["normalizer"].equal(batch["maskable"].sum(1))

    def test_weight_sums_over_visible_tokens_on_both_sides(self) -> None:
        """All tokens of the row have the same loss, so only the weight differs."""
        mask, p = self.tokens.mask, self.context_p
        ids = torch.tensor([[5, mask, mask, 6, mask]])
        masked = ids == mask
        batch = training_batch(self, self.toy(), torch.tensor([0])) | {
            "input_ids": ids,
            "attention_mask": None,
            "target_ids": ids.masked_fill(masked, 7),
            "maskable": masked,
            "masked_positions": masked.flatten().nonzero().squeeze(1),
        }
        q = 1 - p
        weights = (p + p * q) / 2 + (p * q + p) / 2 + (p * q**3 + p) / 2
        model = FixedLogits(self.toy(), torch.zeros(self.tokens.vocab_size))
        output = self.family.loss(self.tokens)(model, batch)
        each = math.log(self.tokens.vocab_size - 1)  # MASK is excluded
        expected = weights * each * float(self.time_weight(batch)[0])
        assert math.isclose(float(output["row_loss"][0]), expected, rel_tol=1e-5)

    def test_row_without_visible_tokens_has_zero_weight(self) -> None:
        batch, model = self.batch(), self.network()
        ids = torch.full_like(batch["input_ids"], self.tokens.mask)
        batch |= {
            "input_ids": ids,
            "masked_positions": torch.arange(ids.numel()),
            "attention_mask": None,
        }
        output = self.family.loss(self.tokens)(model, batch)
        assert output["loss"].item() == 0
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    @property
    def context_p(self) -> float:
        return float(self.spec.loss.options["context_p"])

    def weight(self, batch: Batch, row: int, place: int) -> float:
        """Compute the weight of one masked token by its definition."""
        ids, attended = batch["input_ids"][row], batch["attention_mask"]
        total = 0.0
        for other, id_ in enumerate(ids.tolist()):
            seen = attended is None or bool(attended[row, other])
            if seen and id_ != self.tokens.mask:
                distance = abs(place - other)
                total += self.context_p * (1 - self.context_p) ** (distance - 1)
        return total / 2 * float(self.time_weight(batch)[row])

    def time_weight(self, batch: Batch) -> Tensor:
        """Weight (B,) of every row's time; 1 if the loss uses the context only."""
        if self.spec.loss.options["weight"] == "context":
            return torch.ones(len(batch["input_ids"]), dtype=torch.float64)
        schedule = noise_schedule(self.spec)
        return loss_weight(schedule, batch["t"]) * batch["time_weight"].double()

    def batch(self) -> Batch:
        """Build a batch of all rows; the bits of a row's number select its masks."""
        toy = self.toy()
        rows = torch.arange(len(toy))[:, None]
        masked = toy.answer & (
            (rows >> (toy.answer.cumsum(1) - 1).clamp(min=0)) % 2 == 1
        )
        batch = masked_batch(self, toy, masked)
        if "t" in batch:
            batch["t"] = torch.linspace(0.2, 0.9, len(toy))
            batch["time_weight"] = torch.full_like(batch["t"], SPAN)
        return batch

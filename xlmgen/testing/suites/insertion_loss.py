"""Tests of the insertion loss, which is known exactly for an oracle."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.insertion import (
    Drop,
    InsertionOracle,
    Table,
    decisions,
    drops,
    kept,
    law,
)
from xlmgen.testing.statistics import total_variation
from xlmgen.testing.suites.insertion_bound import DroppedSubject
from xlmgen.testing.suites.loss import Batch, training_batch
from xlmgen.testing.toy import Toy, entropy, seeded


class InsertionLossTests(DroppedSubject):
    """−(1/N) Σ log p(slot, token) and the decision to stop (arXiv:2505.05755)."""

    def test_loss_of_every_row_matches_table(self) -> None:
        toy = self.toy()
        oracle = self.oracle(toy)
        table = self.table(toy)
        batch, _ = self.enumerated(toy)
        found = self.run_loss(oracle, batch)["row_loss"].double()
        expected = [self.cost(toy, table, drop) for drop in drops(toy)]
        torch.testing.assert_close(
            found, torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=1e-5
        )

    def test_expected_loss_equals_closed_form(self) -> None:
        """It is H + E ln n! of the data or, uncorrected, of p / (n + 1), normalised."""
        if self.weights != (1.0, 1.0):
            return  # the stop has another weight, tested for every row above
        toy = self.toy()
        measured, expected = self.expected_loss(self.oracle(toy), toy), 0.0
        for prompt, chance in self.prompts(toy):
            own = toy.given(prompt)
            lengths = toy.answer.sum(1)
            tilted = own if self.corrected else own / (lengths + 1)
            mass = tilted.sum()
            orders = float((tilted / mass * torch.lgamma(lengths + 1.0)).sum())
            expected += chance * float(mass) * (entropy(tilted / mass) + orders)
        assert measured == pytest.approx(expected, rel=1e-4)

    def test_gradient_at_oracle_is_zero(self) -> None:
        """Gradients with respect to all logits of all states are zero."""
        toy = self.toy(prompted=False)
        oracle, expected = self.oracle(toy), torch.zeros((), dtype=torch.float64)
        for drop in drops(toy):
            loss = self.run_loss(oracle, self.batch(toy, [drop]))["loss"]
            expected = expected + drop.chance * loss
        torch.autograd.backward(expected)
        for name, parameter in oracle.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() < 1e-5, name
        total = float(expected.detach())
        assert total == pytest.approx(self.expected_loss(oracle, toy))

    def test_perturbed_oracle_has_higher_loss(self) -> None:
        toy = self.toy()
        lowest = self.expected_loss(self.oracle(toy), toy)
        for seed in range(3):
            disturbed = self.oracle(toy)
            with torch.no_grad():
                for parameter in disturbed.parameters():
                    noise = torch.randn(parameter.shape, generator=seeded(seed))
                    parameter.add_(0.1 * noise)
            assert self.expected_loss(disturbed, toy) > lowest + 1e-4

    def test_minimiser_generates_data_or_short_biased_distribution(
        self,
    ) -> None:
        """For N ~ U{0..n} an answer has a weight proportional to 1/(n + 1)."""
        toy = self.toy()
        for prompt, _ in self.prompts(toy):
            found = law(self.neutral_table(toy), (*prompt, self.tokens.bos, *self.end))
            given = toy.given(prompt)
            generated = torch.tensor(
                [
                    found.get(tuple(row[:length].tolist()), 0.0) * bool(p > 0)
                    for row, length, p in zip(toy.rows, toy.lengths, given, strict=True)
                ],
                dtype=torch.float64,
            )
            biased = given / (toy.answer.sum(1) + 1)
            biased = biased / biased.sum()
            expected = given if self.corrected else biased
            assert total_variation(generated, expected) < 1e-9
            assert total_variation(biased, given) > 0.05

    def test_length_correction_weights_full_row_loss(self) -> None:
        """The minimiser of the other objective does not minimise this one."""
        toy = self.toy()
        other = self.insertion_oracle(
            toy, corrected=not self.corrected, stop_class_weight=self.weights[1]
        )
        own = self.expected_loss(self.oracle(toy), toy)
        assert self.expected_loss(other, toy) > own + 1e-3

    def test_estimate_on_collated_batches_equals_loss(self) -> None:
        toy = self.toy()
        oracle = self.oracle(toy)
        rows = toy.sample(6000, seed=1)  # the collator draws from seed 0
        found = self.run_loss(oracle, training_batch(self, toy, rows))
        values, expected = found["row_loss"].double(), self.expected_loss(oracle, toy)
        error = float(values.std()) / math.sqrt(len(values))
        assert abs(float(values.mean()) - expected) < 5 * error
        assert error < 0.1 * expected

    def test_head_runs_on_slots_only_and_once(self) -> None:
        toy = self.toy()
        asked: list[Tensor] = []
        oracle = self.oracle(toy)
        oracle.register_forward_pre_hook(
            lambda _, inputs, options: asked.append(options["positions"]),
            with_kwargs=True,
        )
        batch, _ = self.enumerated(toy)
        self.run_loss(oracle, batch)
        assert len(asked) == 1
        assert asked[0].equal(batch["slot_positions"])

    def test_loss_of_complete_rows_is_stop_decision(self) -> None:
        """Includes batches without any dropped token and without any slot."""
        empty = [{"prompt": [5], "target": []}] * 2
        full = [{"prompt": [5], "target": [5, 6][: self.longest]}] * 2
        for examples in (empty, full):
            batch = self.complete(examples)
            model = self.network()
            output = self.run_loss(model, batch)
            stop = model(batch["input_ids"], batch["attention_mask"])[1]
            right = nn.functional.cross_entropy(
                stop, torch.ones(2, dtype=torch.int64), reduction="none"
            )
            length = len(examples[0]["target"])
            times = math.prod(self.weights) * (length + 1 if self.corrected else 1)
            torch.testing.assert_close(output["row_loss"], times * right.detach())
            torch.autograd.backward(output["loss"])
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name

    @property
    def weights(self) -> tuple[float, float]:
        """Weights of the stop, and of the stop in complete rows."""
        options = self.spec.loss.options
        return float(options["stop_weight"]), float(options["stop_class_weight"])

    @property
    def corrected(self) -> bool:
        return bool(self.spec.loss.options["length_correction"])

    @property
    def end(self) -> tuple[int, ...]:
        return (self.tokens.eos,) if self.eos else ()

    def oracle(self, toy: Toy) -> InsertionOracle:
        """Make the oracle that minimises the family's objective."""
        return self.insertion_oracle(
            toy, corrected=self.corrected, stop_class_weight=self.weights[1]
        )

    def table(self, toy: Toy) -> Table:
        return decisions(
            toy, corrected=self.corrected, stop_class_weight=self.weights[1]
        )

    def neutral_table(self, toy: Toy) -> Table:
        return decisions(toy, corrected=self.corrected)

    def cost(self, toy: Toy, table: Table, drop: Drop) -> float:
        """Compute the loss of a row by its definition."""
        ids, left = toy.rows[drop.row].tolist(), kept(toy, drop)
        here = table[tuple(ids[i] for i in left)]
        total = sum(here.inserts.values())
        cost = 0.0
        for place in drop.dropped:
            slot = sum(i < place for i in left) - 1
            share = here.inserts[slot, ids[place]] / total
            cost -= math.log(share) / len(drop.dropped)
        weight, class_weight = self.weights
        if drop.dropped:
            cost -= weight * math.log(1 - here.stopping)
        else:
            cost -= weight * class_weight * math.log(here.stopping)
        return cost * (drop.length + 1 if self.corrected else 1)

    def complete(self, examples: list[dict[str, list[int]]]) -> Batch:
        """Build a batch of complete rows."""
        none = torch.empty(0, dtype=torch.int64)
        rows = [
            [self.tokens.cls, *e["prompt"], self.tokens.bos, *e["target"], *self.end]
            for e in examples
        ]
        length = torch.tensor([len(e["target"]) for e in examples])
        ids = torch.tensor(rows)
        slots = torch.zeros(ids.shape, dtype=torch.bool)
        for row, number in enumerate(length.tolist()):
            if number:
                slots[row, 2 : 3 + number] = True
        return {
            "input_ids": ids,
            "attention_mask": None,
            "slot_positions": slots.flatten().nonzero().squeeze(1),
            "target_slot": none,
            "target_ids": none,
            "num_dropped": torch.zeros_like(length),
            "answer_length": length,
        }

    def expected_loss(self, model: nn.Module, toy: Toy) -> float:
        """Compute the expected loss over rows and drops."""
        batch, chances = self.enumerated(toy)
        return float((chances * self.run_loss(model, batch)["row_loss"]).sum())

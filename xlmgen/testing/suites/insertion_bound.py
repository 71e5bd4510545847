"""Tests of bounds on the likelihood of families that insert tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.insertion import Drop, InsertionSubject, drops, kept
from xlmgen.testing.suites.loss import Batch, training_batch
from xlmgen.testing.toy import Toy, entropy


class DroppedSubject(InsertionSubject):
    """Batches without the collator: all rows of a toy with all subsets dropped.

    Their probabilities are those of a uniform number N and a uniform subset of size N.
    """

    def prompts(self, toy: Toy) -> list[tuple[tuple[int, ...], float]]:
        """Return every prompt with its probability."""
        return [
            (
                prompt,
                sum(
                    float(p)
                    for p, other in zip(toy.probs, toy.prompts, strict=True)
                    if other == prompt
                ),
            )
            for prompt in sorted(set(toy.prompts))
        ]

    def enumerated(self, toy: Toy) -> tuple[Batch, Tensor]:
        """Enumerate all drops of all rows, with probabilities."""
        found = list(drops(toy))
        chances = torch.tensor([d.chance for d in found], dtype=torch.float64)
        return self.batch(toy, found), chances

    def batch(self, toy: Toy, found: list[Drop]) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        rows = [[toy.rows[d.row].tolist(), kept(toy, d)] for d in found]
        width = 1 + max(len(left) for _, left in rows)
        input_ids = torch.full((len(found), width), self.tokens.pad)
        slot_positions: list[int] = []
        target_slot: list[int] = []
        target_ids: list[int] = []
        for row, (drop, (ids, left)) in enumerate(zip(found, rows, strict=True)):
            line = [self.tokens.cls, *(ids[i] for i in left)]
            input_ids[row, : len(line)] = torch.tensor(line)
            answer = toy.answer[drop.row].tolist()
            start = ids.index(self.tokens.bos)
            slots = [i for i in left if i == start or answer[i]]
            first = len(slot_positions)
            slot_positions += [row * width + 1 + left.index(i) for i in slots]
            for place in drop.dropped:
                target_slot.append(first + sum(i < place for i in slots) - 1)
                target_ids.append(ids[place])
        attended = torch.tensor(
            [[c <= len(left) for c in range(width)] for _, left in rows]
        )
        return {
            "input_ids": input_ids,
            "attention_mask": None if attended.all() else attended,
            "slot_positions": torch.tensor(slot_positions, dtype=torch.int64),
            "target_slot": torch.tensor(target_slot, dtype=torch.int64),
            "target_ids": torch.tensor(target_ids, dtype=torch.int64),
            "num_dropped": torch.tensor([len(d.dropped) for d in found]),
            "answer_length": torch.tensor([d.length for d in found]),
        }

    def run_loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        output: dict[str, Tensor] = self.family.loss(self.tokens)(model, batch)
        return output


class InsertionBoundTests(DroppedSubject):
    """The bound of true decisions is the entropy (arXiv:2505.05755).

    Its values per row and their counts are the outputs that `x-likelihood` names.
    """

    @pytest.mark.parametrize("prompted", [True, False])
    def test_bound_of_oracle_equals_entropy(self, prompted: bool) -> None:
        """The bound is H(answer | prompt) for the true model."""
        toy = self.toy(prompted=prompted)
        expected = sum(
            chance * entropy(toy.given(prompt)) for prompt, chance in self.prompts(toy)
        )
        batch, chances = self.enumerated(toy)
        measured = float((chances * self.bound(toy, batch)).sum())
        assert measured == pytest.approx(expected, rel=1e-4)

    def test_wrong_network_has_higher_bound(self) -> None:
        toy = self.toy()
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        batch, chances = self.enumerated(toy)
        more = self.bound(wrong, batch) - self.bound(toy, batch)
        assert float((chances * more).sum()) > 0.05

    def test_insertions_and_the_stop_are_counted(self) -> None:
        toy = self.toy()
        batch, _ = self.enumerated(toy)
        output = self.run_loss(self.insertion_oracle(toy), batch)
        lengths = [drop.length + 1 for drop in drops(toy)]
        assert output[self.spec.likelihood.count].tolist() == lengths

    def test_estimate_of_bound_on_collated_batches(self) -> None:
        toy = self.toy()
        rows = toy.sample(6000, seed=1)  # the collator draws from seed 0
        found = self.bound(toy, training_batch(self, toy, rows))
        batch, chances = self.enumerated(toy)
        expected = float((chances * self.bound(toy, batch)).sum())
        error = float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean()) - expected) < 5 * error
        assert error < 0.1 * expected

    def test_row_alone_has_the_same_bound(self) -> None:
        toy = self.toy()
        oracle = self.insertion_oracle(toy)
        together, _ = self.enumerated(toy)
        whole = self.run_loss(oracle, together)
        for number, drop in list(enumerate(drops(toy)))[::37]:
            alone = self.run_loss(oracle, self.batch(toy, [drop]))
            for key in (self.spec.likelihood.sum, self.spec.likelihood.count):
                torch.testing.assert_close(
                    alone[key][0], whole[key][number], rtol=1e-4, atol=1e-5
                )

    def bound(self, believed: Toy, batch: Batch) -> Tensor:
        """Bounds of every row of a batch with the true decisions of a toy, (B,)."""
        output = self.run_loss(self.insertion_oracle(believed), batch)
        return output[self.spec.likelihood.sum].double()

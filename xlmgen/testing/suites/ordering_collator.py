"""Tests of batches whose rows are sorted by an order of generation."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.testing.statistics import p_value
from xlmgen.testing.suites.collator import MAX_LENGTH, WHOLE, CollatorSubject

ROWS = 3000
LEAST = 1e-4
"""A correct collator has a lower p-value for one of 10⁴ seeds; the seed is fixed."""


class OrderingCollatorTests(CollatorSubject):
    """Every token has its position, and predicts the token at the next one."""

    def test_sorted_tokens_are_the_row(self) -> None:
        """Tokens at their positions, and the last target, give the row back."""
        eos = [self.tokens.eos] * self.spec.collator.options["eos"]
        bos, pad = self.tokens.bos, self.tokens.pad
        rows = {
            "lm": [[bos, *tokens, *eos] for tokens in ([5, 6, 7], [7], [6, 6])],
            "infill": [[bos, *tokens, *eos] for tokens in ([5, 6, 7], [7], [6, 5])],
            "seq2seq": [
                [*prompt, bos, *target, *eos]
                for prompt, target in (([5, 6, 7], [6, 7, 5]), ([], [7]), ([6], [5, 5]))
            ],
        }
        for use, expected in rows.items():
            for seed in range(10):
                batch = self.collate(use, seed=seed)
                for row, whole in zip(unsorted(batch), expected, strict=True):
                    assert row[: len(whole)] == whole
                    assert set(row[len(whole) :]) <= {pad}

    def test_targets_are_at_next_positions(self) -> None:
        for use in ("lm", "seq2seq", "infill"):
            batch = self.collate(use)
            targets, following = batch["target_ids"], batch["next_position_ids"]
            assert following[:, :-1].equal(batch["position_ids"][:, 1:])
            scored = targets >= 0
            assert scored.flatten().nonzero().flatten().tolist() == (
                batch["scored_positions"].tolist()
            )
            rest = scored[:, :-1]
            assert targets[:, :-1][rest].equal(batch["input_ids"][:, 1:][rest])

    def test_given_tokens_come_first_from_left_to_right(self) -> None:
        bos, pad = self.tokens.bos, self.tokens.pad
        end = [self.tokens.eos] if self.spec.collator.options["eos"] else [pad]
        for seed in range(10):
            batch = self.collate("seq2seq", seed=seed)
            assert batch["input_ids"][0, :4].tolist() == [5, 6, 7, bos]
            assert batch["target_ids"][0, :3].tolist() == [-100] * 3
            holes = self.collate("infill", seed=seed)
            # [BOS] 5 _ _ EOS: the holes come last
            assert holes["input_ids"][0, :3].tolist() == [bos, 5, *end]
            assert holes["position_ids"][0, :3].tolist() == [0, 1, 4]

    def test_padding_of_the_answer_is_scored(self) -> None:
        batch = self.collate("seq2seq")
        scored = (batch["target_ids"] >= 0).sum(1)
        assert scored.tolist() == [MAX_LENGTH.answer] * 3
        whole = self.collate("lm")
        assert (whole["target_ids"] >= 0).sum(1).tolist() == [WHOLE.answer - 1] * 3

    @pytest.mark.parametrize("evaluation", [False, True])
    def test_orders_have_the_declared_probabilities(self, evaluation: bool) -> None:
        """Rows of one batch draw their orders independently."""
        rows = [{"tokens": [5, 6]}] * ROWS
        following = self.collate("lm", rows, evaluation=evaluation)["next_position_ids"]
        orders = list(permutations(range(1, WHOLE.answer)))
        single = {"left_to_right": orders[0], "right_to_left": orders[-1]}
        order = self.spec.collator.options["order"]
        if evaluation:  # the likelihood is that of the predictor's order
            order = self.spec.predictor.options["order"]
        if order in single:
            assert (following == torch.tensor(single[order])).all()
            return
        drawn = dict.fromkeys(orders, 0)
        for row in following.tolist():
            drawn[tuple(row)] += 1
        counts = torch.tensor(list(drawn.values()))
        even = torch.full((len(orders),), 1 / len(orders), dtype=torch.float64)
        assert p_value(counts, even) > LEAST

    def test_documents_are_sorted_by_themselves(self) -> None:
        bos, eos = self.tokens.bos, self.tokens.eos
        example = {
            "tokens": [bos, 5, 6, eos, bos],
            "documents": [1, 1, 1, 1, 2],
            "packed": True,
        }
        for seed in range(10):
            batch = self.collate("lm", [example], seed=seed)
            assert batch["documents"].tolist() == [[1, 1, 1, 1]]
            assert batch["input_ids"][0, 0] == bos
            assert batch["next_position_ids"][0, -1] == 0
            assert batch["target_ids"][0, -1] == -100

    def test_packed_rows_get_no_special_tokens(self) -> None:
        row = [self.tokens.bos, 5, self.tokens.eos, 6, 7]
        batch = self.collate("lm", [{"tokens": row, "packed": True}] * 2)
        assert unsorted(batch) == [row, row]

    def test_prompts_are_followed_by_mask(self) -> None:
        mask, bos, pad = self.tokens.mask, self.tokens.bos, self.tokens.pad
        answer = [mask] * MAX_LENGTH.answer
        batch = self.collate("predict")
        assert batch["input_ids"].tolist() == [
            [5, 6, 7, bos, *answer],
            [bos, *answer, pad, pad, pad],
            [6, bos, *answer, pad, pad],
        ]
        assert batch["fillable"].equal(batch["input_ids"] == mask)
        assert batch["attention_mask"].equal(batch["input_ids"] != pad)

    def test_holes_are_mask(self) -> None:
        mask, bos = self.tokens.mask, self.tokens.bos
        batch = self.collate("predict_infill")
        assert batch["input_ids"][0, :4].tolist() == [bos, 5, mask, mask]
        assert batch["fillable"].equal(batch["input_ids"] == mask)


def unsorted(batch: dict[str, Any]) -> list[list[int]]:
    """Return the rows with every token at its position; later pads may be missing."""
    ids: Tensor = batch["input_ids"]
    places, last = batch["position_ids"], batch["next_position_ids"][:, -1:]
    target = batch["target_ids"][:, -1:].clamp(min=0)
    width = 1 + int(max(places.max(), last.max()))
    rows = torch.zeros(len(ids), width, dtype=torch.int64)
    rows.scatter_(1, places.flip(1), ids.flip(1))
    scored = batch["target_ids"][:, -1] >= 0
    rows[scored] = rows[scored].scatter(1, last[scored], target[scored])
    return rows.tolist()

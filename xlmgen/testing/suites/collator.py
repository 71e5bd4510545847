"""Tests of all collators: declared types, reproducible draws, and length limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.testing.shapes import check_fields
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.toy import seeded

TRAINING = ("lm", "seq2seq", "infill")
MAX_LENGTH = MaxLength(answer=5, prompt=4)
WHOLE = MaxLength(answer=5)
EXAMPLES: dict[str, list[dict[str, list[int]]]] = {
    "lm": [{"tokens": [5, 6, 7]}, {"tokens": [7]}, {"tokens": [6, 6]}],
    "seq2seq": [
        {"prompt": [5, 6, 7], "target": [6, 7, 5]},
        {"prompt": [], "target": [7]},
        {"prompt": [6], "target": [5, 5]},
    ],
    "infill": [
        {"tokens": [5, 6, 7], "given": [1, 0, 0]},
        {"tokens": [7], "given": [0]},
        {"tokens": [6, 5], "given": [0, 1]},
    ],
    "predict": [{"prompt": [5, 6, 7]}, {"prompt": []}, {"prompt": [6]}],
    "unconditional": [{}, {}, {}],
}
EXAMPLES["predict_infill"] = EXAMPLES["infill"]
"""Rows of different lengths: a full one, one without a prompt, one of one token."""


class CollatorSubject(FamilyTests):
    """A family whose collators are tested."""

    def collate(
        self,
        use: str,
        examples: Sequence[dict[str, Any]] | None = None,
        *,
        seed: int = 0,
        **options: Any,
    ) -> dict[str, Any]:
        """Collate examples, by default those above, by the family's collator."""
        max_length = MAX_LENGTH if use in ("seq2seq", "predict") else WHOLE
        collator = self.family.collators[use](self.tokens, max_length, **options)
        chosen = EXAMPLES[use] if examples is None else examples
        batch: dict[str, Any] = collator(chosen, seeded(seed))
        return batch


class CollatorTests(CollatorSubject):
    """Tests of all layouts that the family has collators for."""

    def test_batches_have_the_declared_types(self) -> None:
        for use in self.family.collators:
            declared = self.types("Batch" if use in TRAINING else "Prompt")
            sizes = check_fields(self.collate(use), declared)
            assert sizes["B"] == 3

    def test_family_has_collators_for_training_and_generation(self) -> None:
        uses = set(self.family.collators)
        assert uses <= set(EXAMPLES)
        assert uses & set(TRAINING)
        assert uses - set(TRAINING)

    def test_same_seed_gives_same_batch(self) -> None:
        for use in self.family.collators:
            one, same = self.collate(use, seed=1), self.collate(use, seed=1)
            assert list(one) == list(same)
            for key, value in one.items():
                assert equal(value, same[key]), (use, key)

    def test_examples_may_be_lists_arrays_or_tensors(self) -> None:
        for use in self.family.collators:
            listed = self.collate(use)
            for kind in (np.asarray, torch.tensor):
                examples = [
                    {
                        key: kind(np.asarray(ids, dtype=np.int64))
                        for key, ids in e.items()
                    }
                    for e in EXAMPLES[use]
                ]
                batch = self.collate(use, examples)
                assert all(equal(value, listed[key]) for key, value in batch.items())

    def test_examples_are_not_modified(self) -> None:
        for use in self.family.collators:
            examples = [
                {key: np.asarray(ids) for key, ids in example.items()}
                for example in EXAMPLES[use]
            ]
            self.collate(use, examples)
            for example, before in zip(examples, EXAMPLES[use], strict=True):
                assert {k: v.tolist() for k, v in example.items()} == before

    def test_too_long_examples_are_refused(self) -> None:
        long = {
            "lm": {"tokens": [5] * 6},
            "seq2seq": {"prompt": [5], "target": [5] * 6},
            "infill": {"tokens": [5] * 6, "given": [0] * 6},
            "predict": {"prompt": [5] * 5},
            "predict_infill": {"tokens": [5] * 6, "given": [0] * 6},
        }
        for use in set(self.family.collators) & set(long):
            with pytest.raises(UserError, match="of row 1 "):
                self.collate(use, [EXAMPLES[use][0], long[use]])

    def test_prompt_of_maximum_length_is_accepted(self) -> None:
        bos = self.spec.collator.options.get("bos", True)
        example = {"prompt": [5] * (MAX_LENGTH.prompt - bool(bos)), "target": [6]}
        for use in set(self.family.collators) & {"predict", "seq2seq"}:
            batch = self.collate(use, [example])
            ids = batch.get("clean_ids", batch["input_ids"])[0].tolist()
            ids = ids[ids[0] == self.tokens.cls :]
            assert ids[: len(example["prompt"])] == example["prompt"]

    def test_batch_of_one_row(self) -> None:
        for use in self.family.collators:
            assert len(self.collate(use, EXAMPLES[use][1:2])["input_ids"]) == 1


def equal(one: Any, other: Any) -> bool:
    """Whether two fields of batches are equal."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    return bool(one == other)

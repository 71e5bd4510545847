"""Batches of collators that nobody here knows: drawn as far as they can be."""

import pytest
import torch

from xlmgen.preview.places import Kind, places, read
from xlmgen.runtime.special_tokens import SpecialTokens

TOKENS = SpecialTokens(vocab_size=20)
IDS = torch.tensor([[7, 3, 8, 0], [9, 6, 3, 0]])


def kinds(batch, row=0):
    return [str(place.kind) for place in places(read(batch, TOKENS), row, TOKENS)]


def test_a_batch_may_have_nothing_but_ids():
    assert kinds({"input_ids": IDS}) == ["given", "special", "given", "padding"]


@pytest.mark.parametrize(
    "batch",
    [IDS, {}, {"input_ids": IDS[0]}, {"input_ids": [1, 2]}],
    ids=["a tensor", "empty", "one row", "a list"],
)
def test_one_without_rows_of_ids_is_not_read(batch):
    assert read(batch, TOKENS) is None


@pytest.mark.parametrize("key", ["masked_at", "scored_at", "slot_at"])
@pytest.mark.parametrize(
    "value",
    [torch.tensor([8]), torch.tensor([-1]), torch.rand(2), IDS, [1]],
    ids=["behind the end", "negative", "no integers", "rows", "a list"],
)
def test_a_key_that_is_something_else_is_not_drawn(key, value):
    reading = read({"input_ids": IDS, key: value}, TOKENS)
    assert reading.used == {"input_ids"}
    assert not reading.predicted.any()
    assert not reading.free.any()


def test_a_chosen_token_need_not_be_hidden():
    batch = {
        "input_ids": IDS,
        "attention_mask": IDS != 0,
        "target_ids": torch.full((2, 4), 5),
        "masked_at": torch.tensor([0, 1, 6]),
    }
    assert kinds(batch) == ["changed", "hidden", "given", "padding"]
    assert kinds(batch, 1) == ["given", "given", "hidden", "padding"]


def test_a_pad_that_is_scored_is_not_hidden_from_view():
    batch = {
        "input_ids": IDS,
        "attention_mask": IDS != 0,
        "target_ids": IDS + 1,
        "masked_at": torch.tensor([7]),
    }
    last = list(places(read(batch, TOKENS), 1, TOKENS))[-1]
    assert (last.kind, last.target, last.column) == (Kind.changed, 1, 3)


def test_targets_below_zero_are_none():
    batch = {"input_ids": IDS, "target_ids": torch.tensor([[-100, 8, 2, -100]] * 2)}
    found = list(places(read(batch, TOKENS), 0, TOKENS))
    assert [place.target for place in found] == [None, 8, 2, None]


def test_unattended_places_on_the_left_are_padding_too():
    ids = torch.tensor([[0, 0, 7, 8]])
    batch = {"input_ids": ids, "attention_mask": ids != 0}
    assert kinds(batch) == ["padding", "padding", "given", "given"]
    assert kinds({"input_ids": ids})[:2] == ["special", "special"]


def test_a_token_is_of_the_answer_if_the_one_before_is_asked_for_it():
    batch = {
        "input_ids": torch.tensor([[7, 8, 9, 6]]),
        "target_ids": torch.tensor([[-100, 9, 6, 2]]),
        "scored_at": torch.tensor([1, 2, 3]),
    }
    assert kinds(batch) == ["given", "given", "seen", "seen"]

"""Batches of unknown collators are shown as far as possible."""

import pytest
import torch

from xlmgen.preview.places import Kind, numbers, places, read
from xlmgen.runtime.special_tokens import SpecialTokens

TOKENS = SpecialTokens(vocab_size=20)
IDS = torch.tensor([[7, 3, 8, 0], [9, 6, 3, 0]])


def kinds(batch, row=0):
    return [str(place.kind) for place in places(read(batch, TOKENS), row, TOKENS)]


def test_batch_with_only_ids_is_read():
    assert kinds({"input_ids": IDS}) == ["given", "special", "given", "padding"]


@pytest.mark.parametrize(
    "batch",
    [IDS, {}, {"input_ids": IDS[0]}, {"input_ids": [1, 2]}],
    ids=["a tensor", "empty", "one row", "a list"],
)
def test_batch_without_input_ids_is_not_read(batch):
    assert read(batch, TOKENS) is None


@pytest.mark.parametrize(
    "key", ["masked_positions", "scored_positions", "slot_positions"]
)
@pytest.mark.parametrize(
    "value",
    [torch.tensor([8]), torch.tensor([-1]), torch.rand(2), IDS, [1]],
    ids=["behind the end", "negative", "no integers", "rows", "a list"],
)
def test_key_in_unexpected_form_is_ignored(key, value):
    reading = read({"input_ids": IDS, key: value}, TOKENS)
    assert reading.used == {"input_ids"}
    assert not reading.predicted.any()
    assert not reading.free.any()


def test_selected_token_may_be_unmasked():
    batch = {
        "input_ids": IDS,
        "attention_mask": IDS != 0,
        "target_ids": torch.full((2, 4), 5),
        "masked_positions": torch.tensor([0, 1, 6]),
    }
    assert kinds(batch) == ["changed", "hidden", "given", "padding"]
    assert kinds(batch, 1) == ["given", "given", "hidden", "padding"]


def test_noised_tokens_are_shown_as_changed():
    batch = {
        "input_ids": torch.tensor([[7, 9, 8, 9]]),
        "attention_mask": None,
        "target_ids": torch.tensor([[7, 9, 9, 9]]),
        "noisable": torch.tensor([[False, True, True, True]]),
        "noisable_positions": torch.tensor([1, 2, 3]),
        "noised_positions": torch.tensor([2, 3]),
    }
    assert kinds(batch) == ["given", "seen", "changed", "changed"]
    reading = read(batch, TOKENS)
    assert reading.used == set(batch)
    found = numbers(reading, batch, TOKENS)
    assert found["noised"] == pytest.approx(1 / 2)
    assert found["noised_of_answer"] == pytest.approx(2 / 3)


def test_scored_pad_is_not_padding():
    batch = {
        "input_ids": IDS,
        "attention_mask": IDS != 0,
        "target_ids": IDS + 1,
        "masked_positions": torch.tensor([7]),
    }
    last = list(places(read(batch, TOKENS), 1, TOKENS))[-1]
    assert (last.kind, last.target, last.column) == (Kind.changed, 1, 3)


def test_negative_targets_are_ignored():
    batch = {"input_ids": IDS, "target_ids": torch.tensor([[-100, 8, 2, -100]] * 2)}
    found = list(places(read(batch, TOKENS), 0, TOKENS))
    assert [place.target for place in found] == [None, 8, 2, None]


def test_unattended_places_on_the_left_are_padding():
    ids = torch.tensor([[0, 0, 7, 8]])
    batch = {"input_ids": ids, "attention_mask": ids != 0}
    assert kinds(batch) == ["padding", "padding", "given", "given"]
    assert kinds({"input_ids": ids})[:2] == ["special", "special"]


def test_token_after_scored_position_is_of_the_answer():
    batch = {
        "input_ids": torch.tensor([[7, 8, 9, 6]]),
        "target_ids": torch.tensor([[-100, 9, 6, 2]]),
        "scored_positions": torch.tensor([1, 2, 3]),
    }
    assert kinds(batch) == ["given", "given", "seen", "seen"]

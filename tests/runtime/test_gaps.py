"""Rows with missing tokens, by hand."""

import pytest
import torch

from xlmgen.errors import UserError
from xlmgen.runtime.collate.gaps import (
    compact_rows,
    infill_gaps,
    lm_gaps,
    prompt_gaps,
    refuse_longer_gaps,
    room,
    seq2seq_gaps,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

TOKENS = SpecialTokens(vocab_size=12)
PAD, BOS, EOS = TOKENS.pad, TOKENS.bos, TOKENS.eos
MAX_LENGTH, WHOLE = MaxLength(6, 4), MaxLength(8)


def bits(tensor):
    return [row.nonzero().flatten().tolist() for row in tensor]


def test_answer_is_free_from_bos_to_last_token():
    examples = [{"prompt": [5, 6], "target": [7, 8]}, {"prompt": [5], "target": []}]
    clean = seq2seq_gaps(examples, TOKENS, MAX_LENGTH, eos=False)
    assert clean.ids.tolist() == [[5, 6, BOS, 7, 8], [5, BOS, PAD, PAD, PAD]]
    assert bits(clean.target_mask) == [[3, 4], []]
    assert bits(clean.free) == [[2, 3, 4], [1]]


def test_given_eos_is_not_answer_and_nothing_follows_it():
    examples = [{"prompt": [5, 6], "target": [7, 8]}, {"prompt": [5], "target": []}]
    clean = seq2seq_gaps(examples, TOKENS, MAX_LENGTH, eos=True)
    assert clean.ids.tolist() == [
        [5, 6, BOS, 7, 8, EOS],
        [5, BOS, EOS, PAD, PAD, PAD],
    ]
    assert bits(clean.target_mask) == [[3, 4], []]
    assert bits(clean.free) == [[2, 3, 4], [1]]


def test_eos_of_packed_row_is_an_ordinary_token():
    row = [BOS, 5, EOS, 6, EOS]
    clean = lm_gaps([{"tokens": row, "packed": True}], TOKENS, WHOLE, eos=True)
    assert clean.ids.tolist() == [row]
    assert bits(clean.target_mask) == [[1, 2, 3, 4]]
    assert bits(clean.free) == [[0, 1, 2, 3, 4]]


def test_only_holes_and_positions_before_them_are_free():
    examples = [{"tokens": [5, 6, 7, 8], "given": [0, 1, 1, 0]}]
    clean = infill_gaps(examples, TOKENS, WHOLE, eos=True)
    assert bits(clean.target_mask) == [[1, 4]]
    assert bits(clean.free) == [[0, 1, 3, 4]]


def test_missing_tokens_are_counted_at_the_token_before():
    examples = [{"tokens": [5, 6, 7, 8, 9]}, {"tokens": [5]}]
    clean = lm_gaps(examples, TOKENS, WHOLE, eos=False)
    missing = torch.tensor([[0, 1, 0, 1, 1, 0], [0, 1, 0, 0, 0, 0]]).bool()
    left = compact_rows(clean, missing, PAD)
    assert left.ids.tolist() == [[BOS, 6, 9], [BOS, PAD, PAD]]
    assert left.gaps.tolist() == [[1, 2, 0], [1, 0, 0]]
    assert left.closing.stood_at.tolist() == [0, 2, 5, 6]
    assert bits(left.free) == [[0, 1, 2], [0]]
    assert bits(left.attention_mask) == [[0, 1, 2], [0]]


def test_room_with_prompts_is_the_answer_length():
    examples = [{"prompt": [5, 6]}, {"prompt": []}]
    for eos in (False, True):
        known = prompt_gaps(examples, TOKENS, MAX_LENGTH, eos=eos)
        assert bits(known.free) == [[2], [0]]
        given = compact_rows(known, known.target_mask, PAD)
        assert room(given, MAX_LENGTH, eos=eos).tolist() == [6 - eos] * 2


def test_room_without_prompt_length_is_the_rest_of_the_sequence():
    examples = [{"prompt": [5, 6]}, {}]
    known = prompt_gaps(examples, TOKENS, WHOLE, eos=True)
    assert known.ids.tolist() == [[BOS, 5, 6, EOS], [BOS, EOS, PAD, PAD]]
    assert bits(known.free) == [[2], [0]]
    given = compact_rows(known, known.target_mask, PAD)
    assert room(given, WHOLE, eos=True).tolist() == [4, 6]


def test_too_long_gap_is_refused_with_its_row():
    examples = [
        {"tokens": [5, 6, 7, 8], "given": [0, 1, 0, 0]},
        {"tokens": [5, 6, 7, 8], "given": [1, 0, 0, 0]},
    ]
    clean = infill_gaps(examples, TOKENS, WHOLE, eos=False)
    refuse_longer_gaps(clean, 3)
    with pytest.raises(UserError, match=r"row 1 .* 3 tokens.* up to 2"):
        refuse_longer_gaps(clean, 2)

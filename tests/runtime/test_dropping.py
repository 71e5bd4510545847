"""Rows with dropped tokens, by hand."""

from math import comb

import pytest
import torch

from xlmgen.errors import UserError
from xlmgen.registry import load_family
from xlmgen.runtime.collate.dropping import (
    drop_tokens,
    refuse_packed,
    with_given_end,
)
from xlmgen.runtime.collate.layout import (
    infill_layout,
    lm_layout,
    masked_prompt_layout,
    seq2seq_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens
from xlmgen.testing.statistics import p_value

TOKENS = SpecialTokens(vocab_size=12)
PAD, BOS, EOS, MASK, CLS = 0, 1, 2, 3, 4
MAX_LENGTH, WHOLE = MaxLength(6, 4), MaxLength(8)
LEAST = 1e-4


def bits(tensor):
    return [row.nonzero().flatten().tolist() for row in tensor]


def at(layout, *rows):
    """(B, L) bool, True at these columns of every row."""
    chosen = torch.zeros_like(layout.target_mask)
    for row, columns in enumerate(rows):
        chosen[row, columns] = True
    return chosen


def laid_out(function, examples, max_length, *, eos=False):
    return function(
        examples, TOKENS, max_length, bos=True, eos=eos, pad_to_max_length=False
    )


@pytest.mark.parametrize("length", [1, 4])
def test_subsets_of_each_size_are_equally_likely(length):
    """N ~ U{0, …, n}, uniform subsets of N tokens, and independent rows."""
    collator = load_family("ilm").collators["lm"](TOKENS, WHOLE)
    rows, ids = 6000, list(range(5, 5 + length))
    batch = collator([{"tokens": ids}] * rows, torch.Generator().manual_seed(0))
    assert (batch["answer_length"] == length).all()
    dropped = torch.zeros(rows, length, dtype=torch.int64)
    row = torch.arange(rows).repeat_interleave(batch["num_dropped"])
    dropped[row, batch["target_ids"] - 5] = 1
    which = (dropped << torch.arange(length)).sum(1)
    subsets = [f"{code:b}".count("1") for code in range(2**length)]
    expected = [1 / (length + 1) / comb(length, number) for number in subsets]
    counts = which.bincount(minlength=2**length)
    assert p_value(counts, torch.tensor(expected)) > LEAST
    pairs = (which[::2] > 0) * 2 + (which[1::2] > 0)
    some = length / (length + 1)
    apart = [(1 - some) ** 2, some * (1 - some), some * (1 - some), some**2]
    assert p_value(pairs.bincount(minlength=4), torch.tensor(apart)) > LEAST


def test_kept_tokens_follow_cls_with_pads_on_the_right():
    examples = [{"prompt": [5, 6], "target": [7, 8, 9]}, {"prompt": [5], "target": [6]}]
    whole = laid_out(seq2seq_layout, examples, MAX_LENGTH)
    kept = drop_tokens(whole, at(whole, [3, 5], [2]), TOKENS)
    assert kept.ids.tolist() == [[CLS, 5, 6, BOS, 8], [CLS, 5, BOS, PAD, PAD]]
    assert bits(kept.attention_mask) == [[0, 1, 2, 3, 4], [0, 1, 2]]
    # Prompts have no slots; BOS has one also where all behind it is dropped.
    assert bits(kept.slots) == [[3, 4], [2]]
    # 7 belongs to BOS, 9 to 8, and the second row's 6 to that row's BOS.
    assert kept.slot_of_dropped.tolist() == [0, 1, 2]


def test_adjacent_dropped_tokens_share_the_slot_on_their_left():
    whole = laid_out(lm_layout, [{"tokens": [5, 6, 7, 8, 9]}], WHOLE)
    kept = drop_tokens(whole, at(whole, [2, 3, 5]), TOKENS)
    assert kept.ids.tolist() == [[CLS, BOS, 5, 8]]
    assert bits(kept.slots) == [[1, 2, 3]]
    assert kept.slot_of_dropped.tolist() == [1, 1, 2]


def test_rows_of_equal_length_have_no_mask():
    whole = laid_out(lm_layout, [{"tokens": [5, 6]}, {"tokens": [7, 8, 9]}], WHOLE)
    kept = drop_tokens(whole, at(whole, [], [1]), TOKENS)
    assert kept.ids.tolist() == [[CLS, BOS, 5, 6], [CLS, BOS, 8, 9]]
    assert kept.attention_mask is None
    assert kept.slot_of_dropped.tolist() == [3]


def test_slots_are_in_holes_and_directly_before_them():
    examples = [
        {"tokens": [5, 6, 7, 8, 9], "given": [1, 0, 0, 1, 0]},
        {"tokens": [5, 6, 7], "given": [0, 1, 1]},
    ]
    whole = laid_out(infill_layout, examples, WHOLE)
    kept = drop_tokens(whole, at(whole, [3], []), TOKENS)
    assert kept.ids.tolist() == [[CLS, BOS, 5, 6, 8, 9], [CLS, BOS, 5, 6, 7, PAD]]
    assert bits(kept.slots) == [[2, 3, 4, 5], [1, 2]]
    assert kept.slot_of_dropped.tolist() == [1]

    empty = drop_tokens(whole, whole.target_mask, TOKENS)
    assert empty.ids.tolist() == [[CLS, BOS, 5, 8], [CLS, BOS, 6, 7]]
    assert bits(empty.slots) == [[2, 3], [1]]
    assert empty.slot_of_dropped.tolist() == [0, 0, 1, 2]


def test_eos_in_data_is_given():
    examples = [{"tokens": [5, 6]}, {"tokens": []}]
    ended = with_given_end(laid_out(lm_layout, examples, WHOLE, eos=True), EOS)
    assert ended.ids.tolist() == [[BOS, 5, 6, EOS], [BOS, EOS, PAD, PAD]]
    assert bits(ended.target_mask) == [[1, 2], []]
    assert bits(drop_tokens(ended, ended.target_mask, TOKENS).slots) == [[1], []]


def test_last_position_of_generated_answer_is_eos():
    examples = [{"prompt": [5, 6]}, {"prompt": []}]
    asked = masked_prompt_layout(examples, TOKENS, MaxLength(3, 4), bos=True)
    ended = with_given_end(asked, EOS)
    assert ended.ids.tolist() == [
        [5, 6, BOS, MASK, MASK, EOS],
        [BOS, MASK, MASK, EOS, PAD, PAD],
    ]
    assert bits(ended.target_mask) == [[3, 4], [1, 2]]
    assert bits(asked.target_mask) == [[3, 4, 5], [1, 2, 3]], (
        "the layout itself is kept"
    )
    given = drop_tokens(ended, ended.target_mask, TOKENS)
    assert given.ids.tolist() == [[CLS, 5, 6, BOS, EOS], [CLS, BOS, EOS, PAD, PAD]]
    assert bits(given.slots) == [[3], [1]]


def test_eos_of_row_with_holes_is_kept():
    """A given last token is not mistaken for a prompt without EOS."""
    examples = [{"tokens": [5, 6], "given": [0, 1]}]
    whole = laid_out(infill_layout, examples, MaxLength(4), eos=True)
    ended = with_given_end(whole, EOS)
    assert ended.ids.tolist() == [[BOS, 5, 6, EOS]]
    assert bits(ended.target_mask) == [[1]]


def test_prompt_that_fills_max_length_is_refused():
    def ended(*prompts):
        examples = [{"prompt": prompt} for prompt in prompts]
        return with_given_end(
            masked_prompt_layout(examples, TOKENS, MaxLength(4), bos=True), EOS
        )

    assert ended([5, 6]).ids.tolist() == [[BOS, 5, 6, EOS]]
    with pytest.raises(UserError, match=r"row 1 .* 5 tokens long.* max_length is 4"):
        ended([5], [5, 6, 7])


def test_packed_rows_are_refused_at_any_index():
    refuse_packed([{"tokens": [5]}, {"tokens": [6], "packed": False}])
    refuse_packed([])
    with pytest.raises(UserError, match="packed rows have an EOS") as caught:
        refuse_packed([{"tokens": [5]}, {"tokens": [6], "packed": True}])
    assert "packing: none" in str(caught.value.fix)

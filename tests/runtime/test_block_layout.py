"""Layouts of blocks: contexts end in one column, and last blocks are filled."""

import pytest
import torch

from xlmgen.errors import UserError
from xlmgen.runtime.collate.block_layout import (
    block_prompt_layout,
    lm_block_layout,
    seq2seq_block_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

T = SpecialTokens(vocab_size=12)
M, P, B, E = T.mask, T.pad, T.bos, T.eos


def check(layout, context, rows, attended, answer):
    assert layout.context == context
    assert layout.ids.tolist() == rows
    assert layout.attended.long().tolist() == attended
    assert layout.target_mask.long().tolist() == answer


def test_last_blocks_of_sequences_are_filled():
    examples = [{"tokens": [5, 6, 7]}, {"tokens": []}]
    check(
        lm_block_layout(examples, T, MaxLength(9), size=3),
        1,
        [[B, 5, 6, 7, E, P, P], [B, E, P, P, P, P, P]],
        [[1] * 7, [1, 1, 1, 1, 0, 0, 0]],
        [[0] + [1] * 6, [0, 1, 1, 1, 0, 0, 0]],
    )


def test_fill_belongs_to_the_last_document():
    rows = [
        {"tokens": [B, 5, E, B, 6], "packed": True, "documents": [1, 1, 1, 2, 2]},
        {"tokens": [B, 5], "packed": True, "documents": [1, 1]},
    ]
    layout = lm_block_layout(rows, T, MaxLength(9), size=3)
    check(
        layout,
        1,
        [[B, 5, E, B, 6, P, P], [B, 5, P, P, P, P, P]],
        [[1] * 7, [1, 1, 1, 1, 0, 0, 0]],
        [[0, 1, 1, 0, 1, 1, 1], [0, 1, 1, 1, 0, 0, 0]],
    )
    documents = [[1, 1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 0, 0, 0]]
    assert layout.attention_mask.tolist() == documents


def test_prompts_end_in_one_column():
    examples = [{"prompt": [5, 6], "target": [7]}, {"prompt": [], "target": [8, 9]}]
    check(
        seq2seq_block_layout(examples, T, MaxLength(4, 3), size=2),
        3,
        [[5, 6, B, 7, E, P, P], [P, P, B, 8, 9, E, P]],
        [[1, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1]],
        [[0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1, 1]],
    )


def test_blocks_end_at_the_maximum_length():
    examples = [{"prompt": [5], "target": [7, 8]}, {"prompt": [5], "target": []}]
    layout = seq2seq_block_layout(examples, T, MaxLength(3, 2), size=2)
    assert layout.ids.tolist() == [[5, B, 7, 8, E], [5, B, E, P, P]]
    assert layout.target_mask.sum(1).tolist() == [3, 2]
    whole = lm_block_layout([{"tokens": [5]}], T, MaxLength(4), size=50)
    assert whole.ids.tolist() == [[B, 5, E, P]]
    assert whole.attention_mask is None


def test_masks_for_the_answer_follow_the_prompt():
    layout = block_prompt_layout(
        [{"prompt": [5, 6]}, {"prompt": []}], T, MaxLength(2, 3)
    )
    check(
        layout,
        3,
        [[5, 6, B, M, M], [P, P, B, M, M]],
        [[1] * 5, [0, 0, 1, 1, 1]],
        [[0, 0, 0, 1, 1]] * 2,
    )


def test_given_beginning_is_within_the_blocks():
    examples = [{"prompt": [5, 6]}, {}, {"packed": True}]
    check(
        block_prompt_layout(examples, T, MaxLength(4)),
        1,
        [[B, 5, 6, M], [B, M, M, M], [B, M, M, M]],
        [[1] * 4] * 3,
        [[0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1]],
    )


def test_too_long_row_is_named():
    good = {"prompt": [5], "target": [5]}
    for what, bad in (("prompt", [5] * 9), ("target", [5] * 9)):
        word = {"prompt": "prompt", "target": "answer"}[what]
        with pytest.raises(UserError, match=rf"{word} of row 1 .* tokens long"):
            seq2seq_block_layout([good, good | {what: bad}], T, MaxLength(3, 3), size=2)


def test_layouts_have_declared_dtypes():
    layout = lm_block_layout([{"tokens": [5]}], T, MaxLength(4), size=2)
    assert layout.ids.dtype == torch.int64
    assert layout.attended.dtype == layout.target_mask.dtype == torch.bool

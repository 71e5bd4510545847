"""Layouts compared with rows that are built one by one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xlmgen.errors import UserError
from xlmgen.runtime.collate.layout import (
    infill_layout,
    lm_layout,
    masked_prompt_layout,
    prompt_layout,
    seq2seq_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

T = SpecialTokens(vocab_size=12)
MAX_LENGTH = MaxLength(answer=6, prompt=5)
WHOLE = MaxLength(answer=6)
ids = st.integers(5, 11)
flags = st.booleans()
texts = st.lists(st.lists(ids, max_size=4), min_size=1, max_size=5)


def filled(rows, width, value):
    return [list(row) + [value] * (width - len(row)) for row in rows]


def check(layout, rows, attended, answers):
    """Compare a layout with ragged rows: ids, attended tokens, answer flags."""
    width = max((len(row) for row in rows), default=0)
    assert layout.ids.tolist() == filled(rows, width, T.pad)
    assert layout.ids.dtype == torch.int64
    assert layout.attended.tolist() == filled(attended, width, False)
    assert layout.target_mask.tolist() == filled(answers, width, False)
    whole = all(all(row) and len(row) == width for row in attended)
    assert (layout.attention_mask is None) == whole


@given(texts, flags, flags, flags)
def test_lm_layout_equals_rows_by_hand(examples, bos, eos, pad_to_max_length):
    layout = lm_layout(
        [{"tokens": tokens} for tokens in examples],
        T,
        WHOLE,
        bos=bos,
        eos=eos,
        pad_to_max_length=pad_to_max_length,
    )
    rows = [[T.bos] * bos + tokens + [T.eos] * eos for tokens in examples]
    if pad_to_max_length:
        rows = filled(rows, WHOLE.answer, T.pad)
    attended = [[True] * len(row) for row in rows]
    answers = [[False] * bos + [True] * (len(row) - bos) for row in rows]
    check(layout, rows, attended, answers)


@given(
    st.lists(
        st.tuples(st.lists(ids, max_size=4), st.lists(ids, max_size=5)),
        min_size=1,
        max_size=5,
    ),
    flags,
    flags,
    flags,
)
def test_seq2seq_layout_equals_rows_by_hand(pairs, bos, eos, pad_to_max_length):
    layout = seq2seq_layout(
        [{"prompt": prompt, "target": target} for prompt, target in pairs],
        T,
        MAX_LENGTH,
        bos=bos,
        eos=eos,
        pad_to_max_length=pad_to_max_length,
    )
    rows, answers = [], []
    for prompt, target in pairs:
        start, rest = prompt + [T.bos] * bos, target + [T.eos] * eos
        if pad_to_max_length:
            rest = rest + [T.pad] * (MAX_LENGTH.answer - len(rest))
        rows.append(start + rest)
        answers.append([False] * len(start) + [True] * len(rest))
    check(layout, rows, [[True] * len(row) for row in rows], answers)


@given(texts, flags, flags, flags, st.randoms())
def test_infill_layout_equals_rows_by_hand(
    examples, bos, eos, pad_to_max_length, random
):
    holes = [[random.randint(0, 1) for _ in tokens] for tokens in examples]
    layout = infill_layout(
        [
            {"tokens": tokens, "given": given}
            for tokens, given in zip(examples, holes, strict=True)
        ],
        T,
        WHOLE,
        bos=bos,
        eos=eos,
        pad_to_max_length=pad_to_max_length,
    )
    rows = [[T.bos] * bos + tokens + [T.eos] * eos for tokens in examples]
    if pad_to_max_length:
        rows = filled(rows, WHOLE.answer, T.pad)
    answers = [
        [False] * bos + [not g for g in given] + [False] * (len(row) - bos - len(given))
        for row, given in zip(rows, holes, strict=True)
    ]
    check(layout, rows, [[True] * len(row) for row in rows], answers)


@given(texts)
def test_prompts_are_padded_on_the_left(prompts):
    examples = [{"prompt": prompt} for prompt in prompts]
    layout = prompt_layout(examples, T, MAX_LENGTH, bos=True)
    width = max(map(len, prompts)) + 1
    for prompt, row, attended in zip(
        prompts, layout.ids.tolist(), layout.attended.tolist(), strict=True
    ):
        pads = width - len(prompt) - 1
        assert row == [T.pad] * pads + prompt + [T.bos]
        assert attended == [False] * pads + [True] * (len(prompt) + 1)
    assert not layout.target_mask.any()


@given(texts, flags)
def test_masked_prompt_layout_equals_rows_by_hand(prompts, bos):
    examples = [{"prompt": prompt} for prompt in prompts]
    layout = masked_prompt_layout(examples, T, MAX_LENGTH, bos=bos)
    starts = [prompt + [T.bos] * bos for prompt in prompts]
    rows = [start + [T.mask] * MAX_LENGTH.answer for start in starts]
    answers = [[False] * len(start) + [True] * MAX_LENGTH.answer for start in starts]
    check(layout, rows, [[True] * len(row) for row in rows], answers)


@pytest.mark.parametrize("bos", [False, True])
def test_without_prompt_the_answer_fills_max_length(bos):
    layout = masked_prompt_layout([{}, {}], T, WHOLE, bos=bos)
    row = [T.bos] * bos + [T.mask] * (WHOLE.answer - bos)
    assert layout.ids.tolist() == [row, row]
    assert prompt_layout([{}, {}], T, WHOLE, bos=True).ids.tolist() == [[T.bos]] * 2


def test_prompt_without_prompt_length_is_part_of_the_sequence():
    layout = masked_prompt_layout([{"prompt": [5, 6]}, {}], T, WHOLE, bos=False)
    assert layout.ids.tolist() == [[5, 6] + [T.mask] * 4, [T.mask] * 6]
    with pytest.raises(UserError, match=r"prompt of row 0 .* is 7 tokens long"):
        masked_prompt_layout([{"prompt": [5] * 7}, {}], T, WHOLE, bos=False)


LONG = {
    "sequence": lambda: lm_layout(
        [{"tokens": [5]}, {"tokens": [5] * 6}],
        T,
        WHOLE,
        bos=False,
        eos=True,
        pad_to_max_length=True,
    ),
    "prompt": lambda: seq2seq_layout(
        [{"prompt": [], "target": []}, {"prompt": [5] * 6, "target": [5]}],
        T,
        MAX_LENGTH,
        bos=False,
        eos=True,
        pad_to_max_length=False,
    ),
    "answer": lambda: seq2seq_layout(
        [{"prompt": [5], "target": []}, {"prompt": [5], "target": [5] * 6}],
        T,
        MAX_LENGTH,
        bos=False,
        eos=True,
        pad_to_max_length=False,
    ),
}


@pytest.mark.parametrize("what", LONG)
def test_too_long_row_is_named(what):
    with pytest.raises(UserError, match=rf"{what} of row 1 .* tokens long"):
        LONG[what]()


def test_packed_rows_are_unchanged():
    rows = [[T.bos, 5, T.eos, 6, 7, 8], [T.bos, 9]]
    examples = [{"tokens": np.array(r), "packed": np.array(True)} for r in rows]
    layout = lm_layout(examples, T, WHOLE, bos=True, eos=True, pad_to_max_length=False)
    answers = [[False] + [True] * (len(row) - 1) for row in rows]
    check(layout, rows, [[True] * len(row) for row in rows], answers)

"""Packing: every id of the stream in exactly one row."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlmgen.data.examples import Ragged
from xlmgen.data.packing import PackedExamples

BOS, EOS = 1, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("packing")


def packed(folder, documents, length, *, separate=False):
    Ragged.write(folder / "documents", documents)
    ids = Ragged(folder / "documents")
    return PackedExamples(ids, length, bos=BOS, eos=EOS, separate=separate)


def test_rows_equal_expected_ids(folder):
    packed_rows = packed(folder, [[10, 11, 12], [20], [], [30, 31]], 5)
    assert [row["tokens"].tolist() for row in packed_rows] == [
        [BOS, 10, 11, 12, EOS],
        [BOS, 20, EOS, EOS, 30],
        [BOS, 31, EOS],
    ]
    assert all(bool(row["packed"]) for row in packed_rows)
    assert packed_rows[-1]["tokens"].tolist() == [BOS, 31, EOS]
    assert len(packed_rows[1:]) == 2
    with pytest.raises(IndexError):
        packed_rows[3]


@settings(deadline=None, max_examples=300)
@given(
    documents=st.lists(
        st.lists(st.integers(5, 99), max_size=12), min_size=1, max_size=12
    ),
    length=st.integers(2, 20),
)
def test_stream_is_complete_and_only_last_row_is_short(folder, documents, length):
    packed_rows = packed(folder, documents, length)
    stream = [id_ for document in documents for id_ in (*document, EOS)]
    rows = [row["tokens"].tolist() for row in packed_rows]
    assert all(row[0] == BOS for row in rows)
    assert [id_ for row in rows for id_ in row[1:]] == stream
    assert all(len(row) == length for row in rows[:-1])
    assert 2 <= len(rows[-1]) <= length


def test_rows_of_separate_documents(folder):
    packed_rows = packed(folder, [[10, 11, 12], [20], [], [30, 31]], 5, separate=True)
    assert [
        (row["tokens"].tolist(), row["documents"].tolist()) for row in packed_rows
    ] == [
        ([BOS, 10, 11, 12, EOS], [1, 1, 1, 1, 1]),
        ([BOS, BOS, 20, EOS, BOS], [1, 2, 2, 2, 3]),
        ([BOS, EOS, BOS, 30, 31], [1, 1, 2, 2, 2]),
        ([BOS, EOS], [1, 1]),
    ]
    assert "documents" not in packed(folder, [[10]], 5)[0]


@settings(deadline=None, max_examples=300)
@given(
    documents=st.lists(
        st.lists(st.integers(5, 99), max_size=12), min_size=1, max_size=12
    ),
    length=st.integers(2, 20),
)
def test_separate_documents_equal_input_documents(folder, documents, length):
    """Documents are cut at row ends, and each part has its own BOS."""
    packed_rows = packed(folder, documents, length, separate=True)
    assert all(len(row["tokens"]) == length for row in packed_rows[:-1])
    stream = []
    for row in packed_rows:
        tokens, numbers = row["tokens"].tolist(), row["documents"].tolist()
        assert numbers == sorted(numbers)
        assert set(numbers) == set(range(1, numbers[-1] + 1))
        for number in set(numbers):
            piece = [t for t, n in zip(tokens, numbers, strict=True) if n == number]
            assert piece[0] == BOS
            assert BOS not in piece[1:]
            assert EOS not in piece[:-1]
        stream += tokens[1:]
    whole = [id_ for document in documents for id_ in (BOS, *document, EOS)]
    assert stream == whole[1:]


def test_rows_are_pickled_as_a_path(folder):
    packed_rows = packed(folder, [list(range(5, 5000))], 100)
    packed_rows[3]
    content = pickle.dumps(packed_rows)
    assert len(content) < 2000
    again = pickle.loads(content)
    assert np.array_equal(again[3]["tokens"], packed_rows[3]["tokens"])


def test_layout_keeps_packed_row_unchanged(folder):
    from xlmgen.runtime.collate.layout import lm_layout
    from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

    packed_rows = packed(folder, [[10, 11, 12], [20], [], [30, 31]], 5)
    layout = lm_layout(
        packed_rows[:2],
        SpecialTokens(),
        MaxLength(5),
        bos=True,
        eos=True,
        pad_to_max_length=True,
    )
    assert layout.ids.tolist() == [row["tokens"].tolist() for row in packed_rows[:2]]


def test_layout_of_separate_documents(folder):
    from xlmgen.runtime.collate.layout import lm_layout
    from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

    packed_rows = packed(folder, [[10, 11], [20, 21]], 5, separate=True)
    rows = [
        lm_layout(
            packed_rows[:],
            SpecialTokens(),
            MaxLength(5),
            bos=b,
            eos=b,
            pad_to_max_length=pad,
        )
        for b, pad in ((True, False), (False, True))
    ]
    for whole in rows:
        assert whole.ids.tolist() == [[BOS, 10, 11, EOS, BOS], [BOS, 20, 21, EOS, 0]]
        assert whole.target_mask[0].tolist() == [False, True, True, True, False]
    assert rows[0].attention_mask.tolist() == [[1, 1, 1, 1, 2], [1, 1, 1, 1, 0]]
    assert rows[0].target_mask[1].tolist() == [False, True, True, True, False]
    # A pad that is predicted belongs to the last document.
    assert rows[1].attention_mask.tolist() == [[1, 1, 1, 1, 2], [1, 1, 1, 1, 1]]
    assert rows[1].target_mask[1].tolist() == [False, True, True, True, True]

"""Packing: the stream in blocks, nothing lost, nothing twice."""

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


def packed(folder, documents, length):
    Ragged.write(folder / "documents", documents)
    return PackedExamples(Ragged(folder / "documents"), length, bos=BOS, eos=EOS)


def test_blocks(folder):
    blocks = packed(folder, [[10, 11, 12], [20], [], [30, 31]], 5)
    assert [block["tokens"].tolist() for block in blocks] == [
        [BOS, 10, 11, 12, EOS],
        [BOS, 20, EOS, EOS, 30],
        [BOS, 31, EOS],
    ]
    assert all(bool(block["packed"]) for block in blocks)
    assert blocks[-1]["tokens"].tolist() == [BOS, 31, EOS]
    assert len(blocks[1:]) == 2
    with pytest.raises(IndexError):
        blocks[3]


@settings(deadline=None, max_examples=300)
@given(
    documents=st.lists(
        st.lists(st.integers(5, 99), max_size=12), min_size=1, max_size=12
    ),
    length=st.integers(2, 20),
)
def test_nothing_is_lost_and_only_the_last_block_is_short(folder, documents, length):
    blocks = packed(folder, documents, length)
    stream = [id_ for document in documents for id_ in (*document, EOS)]
    rows = [block["tokens"].tolist() for block in blocks]
    assert all(row[0] == BOS for row in rows)
    assert [id_ for row in rows for id_ in row[1:]] == stream
    assert all(len(row) == length for row in rows[:-1])
    assert 2 <= len(rows[-1]) <= length


def test_blocks_go_to_another_process_as_a_path(folder):
    blocks = packed(folder, [list(range(5, 5000))], 100)
    blocks[3]
    content = pickle.dumps(blocks)
    assert len(content) < 2000
    again = pickle.loads(content)
    assert np.array_equal(again[3]["tokens"], blocks[3]["tokens"])


def test_the_layout_takes_a_block_as_it_is(folder):
    from xlmgen.data.layout import lm_layout
    from xlmgen.tokens import Block, SpecialTokens

    blocks = packed(folder, [[10, 11, 12], [20], [], [30, 31]], 5)
    layout = lm_layout(
        blocks[:2], SpecialTokens(), Block(5), bos=True, eos=True, pad_to_block=True
    )
    assert layout.ids.tolist() == [block["tokens"].tolist() for block in blocks[:2]]

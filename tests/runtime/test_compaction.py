"""Compaction of rows, by hand."""

import torch

from xlmgen.runtime.collate.compaction import Compaction

KEPT = torch.tensor([[1, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()
VALUES = torch.arange(12).view(3, 4) + 10


def test_kept_tokens_move_left_in_order():
    closing = Compaction(KEPT)
    assert closing.move(VALUES, fill=7).tolist() == [
        [10, 12, 13],
        [16, 7, 7],
        [7, 7, 7],
    ]
    assert closing.attended.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert closing.lengths.tolist() == [3, 1, 0]
    assert closing.stood_at.tolist() == [0, 2, 3, 6]


def test_front_columns_are_attended_and_empty():
    closing = Compaction(KEPT, front=2)
    assert closing.move(VALUES).tolist() == [
        [0, 0, 10, 12, 13],
        [0, 0, 16, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert closing.attention_mask.sum(1).tolist() == [5, 3, 2]


def test_values_keep_dtype_and_may_be_non_contiguous():
    closing = Compaction(KEPT[:2])
    turned = VALUES[:2].T.contiguous().T
    assert closing.move(turned).equal(closing.move(VALUES[:2]))
    marks = closing.move(VALUES[:2] > 11)
    assert marks.dtype == torch.bool
    assert marks.tolist() == [[0, 1, 1], [1, 0, 0]]


def test_rows_of_equal_length_have_no_mask():
    assert Compaction(KEPT[:, :0]).attended.shape == (3, 0)
    assert Compaction(KEPT[:1]).attention_mask is None

"""Flexible-length state, by hand."""

import math

import pytest
import torch
from torch import nn

from xlmgen.errors import UserError
from xlmgen.runtime.decoding.flexible_length import FlexibleLengthState

PAD, BOS, EOS, MASK = 0, 1, 2, 3


class Silent(nn.Module):
    """Model with constant outputs that records its inputs."""

    def __init__(self):
        super().__init__()
        self.asked, self.head = [], nn.Identity()

    def forward(self, input_ids, attention_mask=None, *, t, positions):
        self.asked.append((input_ids.tolist(), t.tolist(), positions.tolist()))
        return torch.zeros(len(positions), 8), torch.ones(input_ids.shape)


def rows(room=(9, 9), *, trace=False):
    ids = torch.tensor([[BOS, EOS, PAD], [5, BOS, EOS]])
    free = torch.tensor([[1, 0, 0], [0, 1, 0]]).bool()
    return FlexibleLengthState(
        Silent(),
        ids,
        ids != PAD,
        free,
        torch.tensor(room),
        mask=MASK,
        pad=PAD,
        trace=trace,
    )


def insert(grown, *counts):
    grown.insert(torch.tensor(counts), 0)


def test_masks_are_inserted_directly_after_their_token():
    grown = rows()
    insert(grown, [2, 0, 0], [0, 1, 0])
    assert grown.ids.tolist() == [[BOS, MASK, MASK, EOS], [5, BOS, MASK, EOS]]
    insert(grown, [1, 0, 2, 0], [0, 0, 0, 0])
    assert grown.ids.tolist() == [
        [BOS, MASK, MASK, MASK, MASK, MASK, EOS],
        [5, BOS, MASK, EOS, PAD, PAD, PAD],
    ]
    assert grown.masked.sum(1).tolist() == [5, 1]
    assert grown.attended.sum(1).tolist() == [7, 4]
    assert grown.room.tolist() == [4, 8]


def test_nothing_is_inserted_where_free_is_false():
    grown = rows()
    insert(grown, [0, 3, 3], [3, 0, 3])
    assert grown.ids.tolist() == [[BOS, EOS, PAD], [5, BOS, EOS]]


def test_full_row_gets_the_first_masks():
    grown = rows(room=(3, 0))
    insert(grown, [2, 0, 0], [0, 5, 0])
    grown.reveal(grown.masked, torch.tensor([6, 7]), 1)
    insert(grown, [0, 0, 5, 0], [0, 5, 0, 0])
    assert grown.ids.tolist() == [[BOS, 6, 7, MASK, EOS], [5, BOS, EOS, PAD, PAD]]
    assert grown.unfinished.tolist() == [True, False]


def test_complete_rows_take_no_forward_pass():
    grown = rows(room=(1, 0))
    insert(grown, [1, 0, 0], [0, 0, 0])
    logits, gaps = grown.forward(grown.masked, 0.5)
    assert grown.model.asked == [([[BOS, MASK, EOS]], [0.5], [1])]
    assert logits.shape == (1, 8)
    assert gaps.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert grown.forward_passes == 1


def test_trace_has_final_positions():
    grown = rows(trace=True)
    insert(grown, [1, 0, 0], [0, 0, 0])
    grown.reveal(grown.masked, torch.tensor([6]), 1)
    grown.insert(torch.tensor([[2, 0, 0], [0, 0, 0]]), 2)
    out = grown.generation()
    assert out.ids[0].tolist() == [BOS, MASK, MASK, 6, EOS]
    events = list(
        zip(
            out.trace.step.tolist(),
            out.trace.row.tolist(),
            out.trace.position.tolist(),
            out.trace.token.tolist(),
            strict=True,
        )
    )
    assert events == [
        (0, 0, 3, MASK),
        (1, 0, 3, 6),
        (2, 0, 1, MASK),
        (2, 0, 2, MASK),
    ]
    assert out.generated[0].tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_gap_that_is_not_finite_is_an_error(value):
    grown = rows()
    grown.model.forward = lambda ids, mask, *, t, positions: (
        torch.zeros(len(positions), 8),
        torch.full(ids.shape, value),
    )
    with pytest.raises(UserError, match="the predicted length of a gap is NaN"):
        grown.forward(grown.masked, 0.0)

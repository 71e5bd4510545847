"""The decoding state with an approximate cache: rows, columns and full passes."""

import pytest
import torch
from torch import nn

from xlmgen.runtime.decoding.cached import CachedState, window_columns

MASK = 3
IDS = torch.tensor([[5, MASK, MASK, 6, MASK], [MASK, MASK, 7, MASK, MASK]])
FILLABLE = IDS == MASK
FIRST = torch.tensor([[0, 1, 1, 0, 0], [1, 1, 0, 0, 0]]).bool()


class Recorder(nn.Module):
    """Model, and its own cache, whose logits are the flat positions of a call."""

    def __init__(self):
        super().__init__()
        self.calls, self.head = [], nn.Identity()

    def new_cache(self, rows, length):
        assert (rows, length) == IDS.shape
        return self

    def select(self, rows, columns):
        self.rows = None if rows is None else rows.tolist()
        self.columns = None if columns is None else columns.tolist()

    def forward(self, ids, attention_mask=None, *, positions, cache):
        assert cache is self
        self.calls.append((self.rows, self.columns, ids.tolist()))
        return positions[:, None].float().expand(-1, 8)


def make(refresh=None, **options):
    return CachedState(
        Recorder(), IDS, None, FILLABLE, MASK, refresh=refresh, **options
    )


def test_first_pass_of_a_block_computes_all_positions_of_its_rows():
    """Also of rows that the pass looks at no position of."""
    state = make()
    state.cache_around(FIRST)
    where = torch.zeros_like(FIRST)
    where[1, 0] = True
    assert state.logits(where)[:, 0].tolist() == [5.0]
    assert state.model.calls == [(None, None, IDS.tolist())]
    state.cache_around(FILLABLE & ~FIRST)
    state.logits(FILLABLE & ~FIRST)
    assert state.model.calls[1][1] is None


@pytest.mark.parametrize(
    ("cache", "shifted", "columns"),
    [
        ("cache_around", False, [[1, 2], [0, 1]]),
        ("cache_around", True, [[0, 1, 2], [0, 1, 0]]),
        ("cache_before", False, [[1, 2, 3, 4, 1], [0, 1, 2, 3, 4]]),
    ],
)
def test_later_passes_compute_the_window(cache, shifted, columns):
    state = make(shifted=shifted)
    getattr(state, cache)(FIRST)
    state.logits(FIRST)
    positions = state.logits(FIRST)[:, 0].tolist()
    rows, found, ids = state.model.calls[1]
    assert (rows, found) == (None, columns)
    assert ids == IDS.gather(1, torch.tensor(columns)).tolist()
    width = len(columns[0])
    row, column = FIRST.nonzero(as_tuple=True)
    places = zip(row.tolist(), column.tolist(), strict=True)
    assert positions == [r * width + columns[r].index(c) for r, c in places]


def test_window_has_no_pads():
    attended = torch.tensor([[True] * 4 + [False], [True] * 5])
    state = CachedState(
        Recorder(), IDS, attended, FILLABLE, MASK, refresh=None, trace=True
    )
    state.cache_before(FIRST)
    state.logits(FIRST)
    state.logits(FIRST)
    assert state.model.calls[1][1] == [[1, 2, 3, 1, 1], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("refresh", [1, 2, 3])
def test_every_nth_pass_is_full(refresh):
    state = make(refresh)
    state.cache_around(FIRST)
    for _ in range(7):
        state.logits(FIRST)
    full = [columns is None for _, columns, _ in state.model.calls]
    assert full == [number % refresh == 0 for number in range(7)]
    assert state.forward_passes == 7


def test_finished_rows_leave_full_passes_and_windows():
    state = make(2)
    state.cache_around(FIRST)
    state.logits(FIRST)
    done = FIRST & torch.tensor([[True], [False]])
    state.reveal(done, torch.tensor([5, 5]), 0)
    left = FIRST & ~done
    state.logits(left)
    state.logits(left)
    assert [rows for rows, _, _ in state.model.calls] == [None, [1], [1]]
    assert state.model.calls[1][1] == [[0, 1]]


def test_remasked_row_that_missed_a_full_pass_gets_one():
    state = make(2)
    state.cache_around(FIRST)
    state.logits(FIRST)
    done = FIRST & torch.tensor([[True], [False]])
    state.reveal(done, torch.tensor([5, 5]), 0)
    for _ in range(3):
        state.logits(FIRST & ~done)
    state.remask(done, 1)
    state.logits(done)
    assert state.model.calls[-1][1] is None


def test_window_columns_are_in_order_and_filled_up_with_the_first():
    window = torch.tensor([[0, 1, 0, 1, 1], [0, 0, 0, 1, 0]]).bool()
    columns, inside = window_columns(window)
    assert columns.tolist() == [[1, 3, 4], [3, 3, 3]]
    assert inside.tolist() == [[True] * 3, [True, False, False]]

"""The masked decoding state: rows of a pass, written and unchanged positions."""

import pytest
import torch
from torch import nn

from xlmgen.runtime.decoding.masked import MaskedState, decoding_blocks, split_steps

MASK = 3
IDS = torch.tensor([[5, MASK, MASK, 6], [MASK, 7, MASK, 0], [5, 6, 7, 5]])
FILLABLE = IDS == MASK
ATTENDED = torch.tensor([[True] * 4, [True, True, True, False], [True] * 4])


class Echo(nn.Module):
    """Model whose logits are the requested flat positions, and that records calls."""

    def __init__(self):
        super().__init__()
        self.calls, self.head = [], nn.Identity()

    def forward(self, ids, attention_mask=None, *, positions, t=None):
        self.calls.append((ids.clone(), attention_mask, t))
        return positions[:, None].float().expand(-1, 8)


def make(**options):
    return MaskedState(Echo(), IDS, ATTENDED, FILLABLE, MASK, **options)


def test_only_rows_with_selected_positions_take_part():
    state = make()
    where = torch.zeros_like(FILLABLE)
    where[1, 2] = True
    logits = state.logits(where, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    ids, attended, t = state.model.calls[0]
    assert ids.equal(IDS[1:2])
    assert attended.equal(ATTENDED[1:2])
    assert t.equal(torch.tensor([0.2]))
    assert logits[:, 0].tolist() == [2.0]
    assert state.forward_passes == 1


def test_positions_are_flat_over_participating_rows():
    state = make()
    where = torch.zeros_like(FILLABLE)
    where[0, 1] = where[2, 3] = True
    assert state.logits(where)[:, 0].tolist() == [1.0, 4.0 + 3.0]


def test_without_prompt_masks_all_given_tokens():
    state = make()
    where = FILLABLE.clone()
    state.reveal(
        torch.tensor([[False, True, False, False]] + [[False] * 4] * 2),
        torch.tensor([7]),
        0,
    )
    state.logits(where, without_prompt=True)
    assert state.model.calls[0][0].tolist() == [[3, 7, 3, 3], [3, 3, 3, 3]]
    assert state.ids[0].tolist() == [5, 7, MASK, 6]


def test_reveal_and_remask_keep_given_tokens():
    state = make(trace=True)
    where = torch.zeros_like(FILLABLE)
    where[0, 1] = where[1, 0] = True
    state.reveal(where, torch.tensor([5, 6]), 0)
    assert state.ids.tolist() == [[5, 5, MASK, 6], [6, 7, MASK, 0], [5, 6, 7, 5]]
    assert state.masked.equal(state.ids == MASK)
    state.remask(torch.ones_like(where), 1)
    assert state.ids.equal(IDS)
    assert state.masked.equal(FILLABLE)
    trace = state.generation().trace
    assert trace.token.tolist() == [5, 6] + [MASK] * 4
    assert trace.step.tolist() == [0, 0, 1, 1, 1, 1]


def test_batch_is_not_modified():
    before = IDS.clone()
    state = make()
    state.reveal(FILLABLE, torch.tensor([5, 5, 5, 5]), 0)
    assert IDS.equal(before)


def test_masked_share_is_of_fillable_positions():
    state = make()
    assert state.masked_share().tolist() == [1.0, 1.0, 0.0]
    where = torch.zeros_like(FILLABLE)
    where[0, 1] = True
    state.reveal(where, torch.tensor([5]), 0)
    assert state.masked_share().tolist() == [0.5, 1.0, 0.0]


def test_blocks_split_fillable_positions_from_left_to_right():
    fillable = torch.tensor([[1, 0, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0]]).bool()
    first, second, third = decoding_blocks(fillable, 2)
    assert first.int().tolist() == [[1, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0]]
    assert second.int().tolist() == [[0, 0, 0, 1, 1, 0], [0] * 6]
    assert third.int().tolist() == [[0, 0, 0, 0, 0, 1], [0] * 6]


def test_no_fillable_positions_give_no_blocks():
    assert decoding_blocks(torch.zeros(2, 3, dtype=torch.bool), 2) == []


@pytest.mark.parametrize(
    ("steps", "parts", "expected"),
    [(8, 2, [4, 4]), (7, 3, [3, 2, 2]), (2, 3, [1, 1, 1]), (5, 1, [5]), (5, 0, [])],
)
def test_steps_are_split_evenly_with_at_least_one(steps, parts, expected):
    assert split_steps(steps, parts) == expected

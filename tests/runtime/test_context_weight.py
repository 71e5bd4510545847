"""Context weights, by hand."""

import pytest
import torch

from xlmgen.runtime.context_weight import context_weight


def test_neighbours_and_farther_tokens_are_weighted():
    visible = torch.tensor([[True, False, False, True, False]])
    weight = context_weight(visible, p=0.8)[0]
    # ½ (0.8 + 0.16), ½ (0.16 + 0.8), ½ (0.0064 + 0.8)
    assert weight[1:3].tolist() == pytest.approx([0.48, 0.48])
    assert weight[4].item() == pytest.approx(0.4032)


def test_visible_token_does_not_weight_itself():
    visible = torch.tensor([[False, True, False]])
    assert context_weight(visible, p=0.5)[0].tolist() == [0.25, 0.0, 0.25]


def test_pads_do_not_count():
    visible = torch.tensor([[True, False, True, True]])
    attended = torch.tensor([[True, True, False, False]])
    padded = context_weight(visible, attended, p=0.8)
    assert padded[:, :2].equal(context_weight(visible[:, :2], p=0.8))


def test_other_documents_do_not_count():
    visible = torch.tensor([[True, False, True, False, True]])
    documents = torch.tensor([[1, 1, 2, 2, 2]])
    apart = context_weight(visible, documents, p=0.8)
    first = context_weight(visible[:, :2], p=0.8)
    second = context_weight(visible[:, 2:], p=0.8)
    torch.testing.assert_close(apart, torch.cat((first, second), dim=1))


def test_p_of_one_counts_only_neighbours():
    visible = torch.tensor([[True, False, True, False, False]])
    assert context_weight(visible, p=1.0)[0, [1, 3, 4]].tolist() == [1.0, 0.5, 0.0]


def test_no_visible_tokens_weigh_zero():
    assert context_weight(torch.zeros(2, 4, dtype=torch.bool), p=0.8).sum() == 0


def test_all_visible_weigh_one_far_from_the_ends():
    weight = context_weight(torch.ones(1, 101, dtype=torch.bool), p=0.3)
    assert weight[0, 50].item() == pytest.approx(1)


def test_autocast_does_not_reduce_precision():
    visible = torch.tensor([[True, False, False, True, False, False, False]])
    weight = context_weight(visible, p=0.8)
    with torch.autocast("cpu", torch.bfloat16):
        assert context_weight(visible, p=0.8).equal(weight)

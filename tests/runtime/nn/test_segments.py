"""Sums over rows that lie in one flat tensor, against a loop over the rows."""

import math

import pytest
import torch

from xlmgen.runtime.nn.segments import segment_logsumexp, segment_sum

INF = math.inf


def test_entries_are_added_where_they_belong_in_any_order():
    values = torch.tensor([1.0, 2.0, 4.0, 8.0])
    segment = torch.tensor([2, 0, 2, 0])
    assert segment_sum(values, segment, 3).tolist() == [10, 0, 5]


def test_segments_behind_the_last_entry_are_empty():
    values, segment = torch.tensor([3.0]), torch.tensor([0])
    assert segment_sum(values, segment, 3).tolist() == [3, 0, 0]
    assert segment_logsumexp(values, segment, 3).tolist() == [3, -INF, -INF]


def test_no_entries_at_all():
    nothing, nowhere = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    assert segment_sum(nothing, nowhere, 2).tolist() == [0, 0]
    assert segment_logsumexp(nothing, nowhere, 2).tolist() == [-INF, -INF]


def test_logsumexp_is_the_loop():
    generator = torch.Generator().manual_seed(0)
    values = 5 * torch.randn(40, dtype=torch.float64, generator=generator)
    segment = torch.randint(0, 7, (40,), generator=generator)
    rows = [values[segment == row] for row in range(7)]
    torch.testing.assert_close(
        segment_logsumexp(values, segment, 7),
        torch.stack([row.exp().sum().log() for row in rows]),
    )


@pytest.mark.parametrize("size", [1000.0, -1000.0])
def test_segments_of_other_sizes_do_not_drown_each_other(size):
    """Each is measured from its own largest entry, not from the largest of all."""
    values = torch.tensor([size, size, 0.0, 0.0])
    found = segment_logsumexp(values, torch.tensor([0, 0, 1, 1]), 2)
    torch.testing.assert_close(found, torch.tensor([size, 0.0]) + math.log(2))


def test_what_cannot_be_adds_nothing():
    values = torch.tensor([-INF, 0.0, -INF, -INF])
    found = segment_logsumexp(values, torch.tensor([0, 0, 1, 1]), 3)
    assert found.tolist() == [0, -INF, -INF]


def test_gradients_are_the_softmax_of_each_segment():
    """Also beside an empty segment and an entry of −∞: never NaN."""
    values = torch.tensor([0.0, math.log(3), -INF, 7.0], requires_grad=True)
    segment = torch.tensor([0, 0, 0, 2])
    segment_logsumexp(values, segment, 3)[[0, 2]].sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([0.25, 0.75, 0, 1]))


def test_gradients_of_sums_reach_every_entry():
    values = torch.ones(3, requires_grad=True)
    out = segment_sum(values, torch.tensor([1, 0, 1]), 3)
    (out * torch.tensor([2.0, 5.0, 9.0])).sum().backward()
    assert values.grad.tolist() == [5, 2, 5]

"""Stable passes are counted from the second pass of a position on."""

import math

import pytest
import torch

from xlmgen.runtime.decoding.stability import StabilityCounter, kl_divergence


def logs(*rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def test_kl_divergence_is_the_sum_over_tokens_of_p():
    p, q = [0.5, 0.25, 0.25, 0.0], [0.25, 0.25, 0.5, 0.0]
    expected = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    assert float(kl_divergence(logs(p), logs(q))) == pytest.approx(expected)
    impossible = [0.0, 0.5, 0.5, 0.0]
    assert float(kl_divergence(logs(p), logs(impossible))) == math.inf
    assert float(kl_divergence(logs(impossible), logs(p))) == pytest.approx(math.log(2))


def test_first_pass_is_not_stable():
    counter = StabilityCounter(limit=1e9)
    everywhere = torch.ones(1, 2, dtype=torch.bool)
    assert counter.update(logs([0.5, 0.5], [1.0, 0.0]), everywhere).tolist() == [[0, 0]]
    assert counter.update(logs([0.5, 0.5], [0.5, 0.5]), everywhere)[0, 0] == 1


def test_count_follows_positions_that_remain_and_starts_again_after_a_change():
    counter = StabilityCounter(limit=0.1)
    same, other = [0.5, 0.5], [0.9, 0.1]
    three = torch.tensor([[True, True], [False, True]])
    counter.update(logs(same, same, same), three)
    assert counter.update(logs(same, other, same), three).tolist() == [[1, 0], [0, 1]]
    two = torch.tensor([[False, True], [False, True]])
    assert counter.update(logs(other, same), two).tolist() == [[0, 1], [0, 2]]
    assert counter.update(logs(other, other), two).tolist() == [[0, 2], [0, 0]]


def test_divergence_is_of_now_from_before():
    p, q = [0.5, 0.5], [0.99, 0.01]
    forward, backward = (
        float(kl_divergence(logs(a), logs(b))) for a, b in ((q, p), (p, q))
    )
    assert forward < 1 < backward
    counter = StabilityCounter(limit=1.0)
    one = torch.ones(1, 1, dtype=torch.bool)
    counter.update(logs(p), one)
    assert counter.update(logs(q), one).tolist() == [[1]]
    assert counter.update(logs(p), one).tolist() == [[0]]

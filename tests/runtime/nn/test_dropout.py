"""Dropout drops the share that it is told to, every element by itself."""

import pytest
import torch

from xlmgen.runtime.nn import Dropout

SIGMAS = 5


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9])
def test_the_share_is_right_in_each_quarter_of_a_word(p):
    count = 400_000
    dropped = Dropout(p)(torch.ones(count)) == 0
    for quarter in range(4):
        share = dropped[quarter::4].float().mean().item()
        error = (p * (1 - p) / (count / 4)) ** 0.5
        assert abs(share - p) < SIGMAS * error + 2**-17, quarter


def test_neighbours_are_independent():
    dropped = (Dropout(0.5)(torch.ones(400_000)) == 0).float() - 0.5
    for distance in (1, 2, 3, 4):
        product = (dropped[distance:] * dropped[:-distance]).mean().item() / 0.25
        assert abs(product) < SIGMAS / 400_000**0.5, distance


def test_what_is_kept_grows_so_that_the_mean_stays():
    x = torch.randn(999, 7).double().requires_grad_()  # no multiple of four
    y = Dropout(0.3)(x)
    kept = y != 0
    assert y.dtype == torch.float64
    torch.testing.assert_close(y[kept], x[kept] / 0.7, rtol=1e-4, atol=0)
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept.double() / 0.7, rtol=1e-4, atol=0)


def test_nothing_is_dropped_outside_training_or_at_zero():
    x = torch.randn(64, 64)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_a_seed_decides():
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5)(torch.ones(1000)))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_a_byte_for_every_element_is_kept():
    x = torch.randn(100, 8, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t) or t, lambda t: t
    ):
        Dropout(0.5)(x)
    assert sum(t.numel() * t.element_size() for t in kept if t.dim()) == x.numel()

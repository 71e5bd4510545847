"""Rotation and attention in one against rotating first and attending then."""

import pytest
import torch

from xlmgen.runtime.nn import Rotary, attention, linear
from xlmgen.runtime.nn import fused_attention as module
from xlmgen.runtime.nn.fused_attention import pays, rotated_attention

BATCH, LENGTH, HEADS, SIZE = 5, 36, 4, 8


def inputs(kv_heads, seen, dtype=torch.float32):
    torch.manual_seed(0)
    x = torch.randn(BATCH, LENGTH, HEADS + 2 * kv_heads, SIZE, dtype=dtype)
    mask = None
    positions = torch.arange(LENGTH)[None]
    if seen == "keys":
        mask = torch.rand(BATCH, 1, 1, LENGTH) > 0.3
        positions = torch.randint(0, LENGTH, (BATCH, LENGTH))
    elif seen == "pairs":
        mask = torch.rand(BATCH, 1, LENGTH, LENGTH) > 0.5
        mask |= torch.eye(LENGTH, dtype=torch.bool)
    elif seen == "shared":
        mask = torch.rand(1, 1, LENGTH, LENGTH) > 0.5
        mask |= torch.eye(LENGTH, dtype=torch.bool)
    cos, sin = Rotary(SIZE)(positions)
    return x, (cos.to(dtype), sin.to(dtype)), mask


def attended(x, kv_heads, rotary, mask, causal):
    return attention.attend(x, kv_heads, rotary, mask, None, 0, causal=causal)


@pytest.mark.parametrize("seen", ["all", "causal", "keys", "pairs", "shared"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_values_and_gradients_are_those_of_plain_attention(kv_heads, seen, monkeypatch):
    rows = 2  # of a piece: the last one is smaller
    monkeypatch.setattr(module, "CACHED", rows * HEADS * LENGTH**2)
    used = []
    monkeypatch.setattr(
        attention,
        "rotated_attention",
        lambda *a, **k: used.append(rotated_attention(*a, **k)) or used[-1],
    )
    x, rotary, mask = inputs(kv_heads, seen)
    exact = x.double().requires_grad_()
    x.requires_grad_()
    weights = torch.randn(BATCH, LENGTH, HEADS * SIZE)

    monkeypatch.setattr(linear, "onednn_is_exact", lambda: True)
    y = attended(x, kv_heads, rotary, mask, seen == "causal")
    assert len(used) == 1
    wide = tuple(turn.double() for turn in rotary)
    expected = attended(exact, kv_heads, wide, mask, seen == "causal")
    assert len(used) == 1  # the plain one
    torch.testing.assert_close(y.double(), expected, rtol=1e-4, atol=1e-5)

    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seen", ["causal", "keys"])
def test_the_gradient_is_that_of_small_differences(seen, monkeypatch):
    monkeypatch.setattr(module, "CACHED", 2 * HEADS * 6**2)
    x, (cos, sin), mask = inputs(2, seen, torch.float64)
    x, rotary = x[:3, :6].clone().requires_grad_(), (cos[:3, :, :6], sin[:3, :, :6])
    mask = None if mask is None else mask[:3, ..., :6]
    assert torch.autograd.gradcheck(
        lambda x: rotated_attention(x, 2, rotary, mask, causal=True), x
    )


def test_a_query_that_sees_nothing_is_no_nan():
    x, rotary, _ = inputs(HEADS, "all")
    mask = torch.zeros(BATCH, 1, 1, LENGTH, dtype=torch.bool)
    x.requires_grad_()
    y = rotated_attention(x, HEADS, rotary, mask, causal=False)
    mean = x[:, :, 2 * HEADS :].mean(1).flatten(1)
    torch.testing.assert_close(y, mean[:, None].expand_as(y))
    y.sum().backward()
    assert x.grad.isfinite().all()


def test_only_what_came_in_is_kept():
    x, rotary, _ = inputs(HEADS, "causal")
    kept = []
    keep = torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.append(t) or t, lambda t: t
    )
    x.requires_grad_()
    with keep:
        rotated_attention(x, HEADS, rotary, None, causal=True)
    places = {t.data_ptr() for t in (x, *rotary)}
    assert {t.data_ptr() for t in kept} == places


def test_where_it_does_not_pay():
    x = torch.zeros(2, 64, 12, 8)
    assert pays(x, 4) == linear.onednn_is_exact()
    assert not pays(x.double(), 4)
    assert not pays(x[:, :8], 4)
    assert not pays(x.expand(2, 64, 12, 8).repeat(1, 32, 1, 1), 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(x, 4)

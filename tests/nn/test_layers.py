"""Feed-forward layers, time conditioning, the cache and the initial weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlmgen.nn import (
    Attention,
    FeedForward,
    KeyValueCache,
    Modulation,
    SwiGLU,
    TimeEmbedding,
    initialise,
    modulate,
)


def test_feedforward_is_two_layers_and_an_activation():
    for name, function in {"gelu": F.gelu, "relu": F.relu}.items():
        layer, x = FeedForward(8, None, activation=name), torch.randn(3, 8)
        assert layer.up.weight.shape == (32, 8)
        expected = function(x @ layer.up.weight.T) @ layer.out.weight.T
        torch.testing.assert_close(layer(x), expected)


def test_swiglu_gates_one_half_with_the_other():
    layer, x = SwiGLU(8, 12), torch.randn(3, 8)
    gate, up = layer.gate_up.weight[:12], layer.gate_up.weight[12:]
    expected = (F.silu(x @ gate.T) * (x @ up.T)) @ layer.out.weight.T
    torch.testing.assert_close(layer(x), expected)


def test_swiglu_has_about_as_many_weights_as_four_times_without_a_gate():
    plain, gated = FeedForward(768, None, activation="gelu"), SwiGLU(768)
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in (plain, gated)]
    assert sizes[0] == sizes[1]
    assert SwiGLU(100).out.weight.shape[1] % 32 == 0


def test_modulation_starts_at_nothing_and_modulate_scales_and_shifts():
    layer = nn.ModuleList([Modulation(6, 8, parts=2)])
    initialise(layer, layers=1)
    shift, scale = layer[0](torch.randn(3, 6))
    assert shift.shape == scale.shape == (3, 1, 8)
    x = torch.randn(3, 5, 8)
    assert torch.equal(modulate(x, shift, scale), x)
    torch.testing.assert_close(modulate(x, shift + 2, scale + 0.5), 1.5 * x + 2)


def test_times_that_differ_a_little_have_other_features():
    torch.manual_seed(0)
    embedding = TimeEmbedding(32)
    t = torch.linspace(0, 1, 65)
    features = embedding(t)
    assert features.shape == (65, 32)
    distances = torch.cdist(features, features) + torch.eye(65)
    assert distances.min() > 1e-4


def test_cache_gives_back_what_was_put_in():
    torch.manual_seed(0)
    keys, values = torch.randn(2, 2, 3, 1, 5, 4)  # two layers, three rows
    cache = KeyValueCache(
        2, 3, 1, 5, 4, device=torch.device("cpu"), dtype=torch.float32
    )
    for start, end in ((0, 2), (2, 3), (3, 5)):
        for layer in range(2):
            k, v = cache.append(
                layer, keys[layer][:, :, start:end], values[layer][:, :, start:end]
            )
            assert k.equal(keys[layer][:, :, :end])
            assert v.equal(values[layer][:, :, :end])
        cache.advance(end - start)
    assert cache.length == 5


def test_cache_keeps_the_rows_that_go_on_in_order():
    cache = KeyValueCache(
        1, 3, 1, 4, 2, device=torch.device("cpu"), dtype=torch.float32
    )
    first = torch.arange(12.0).view(3, 1, 2, 2)
    cache.append(0, first, -first)
    cache.advance(2)
    cache.keep(torch.tensor([2, 0]))
    new = torch.full((2, 1, 1, 2), 99.0)
    k, v = cache.append(0, new, new)
    assert k[:, :, :2].equal(first[[2, 0]])
    assert v[:, :, :2].equal(-first[[2, 0]])
    assert k[:, :, 2].equal(new[:, :, 0])


@pytest.mark.parametrize("layers", [1, 8])
def test_initial_weights_have_the_documented_spread(layers):
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(500, 64),
            "attention": Attention(64, 2, 2, causal=True),
            "feedforward": SwiGLU(64),
            "head": nn.Linear(64, 500),
        }
    )
    initialise(model, layers)
    assert model["head"].bias.abs().max() == 0
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            continue
        branch_end = name.endswith("out.weight")
        std = 0.02 / math.sqrt(2 * layers) if branch_end else 0.02
        assert float(weight.detach().std()) == pytest.approx(std, rel=0.05), name
        assert abs(float(weight.detach().mean())) < 0.1 * std

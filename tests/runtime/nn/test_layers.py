"""Feed-forward layers, time conditioning, the cache and the initial weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlmgen.runtime.nn import (
    Attention,
    FeedForward,
    Head,
    KeyValueCache,
    Modulation,
    Rotary,
    SwiGLU,
    TimeEmbedding,
    initialise,
    modulate,
)
from xlmgen.runtime.nn.rotary import rotate


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


def test_modulation_starts_as_identity_with_open_gates():
    layer = nn.ModuleList([Modulation(6, 8, parts=6), Modulation(6, 8, parts=2)])
    initialise(layer, layers=1)
    x, condition = torch.randn(3, 5, 8), torch.randn(3, 6)
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = layer[0](condition)
    assert all(part.shape == (3, 1, 8) for part in layer[0](condition))
    assert torch.equal(modulate(x, shift, scale), x)
    assert torch.equal(modulate(x, ffn_shift, ffn_scale), x)
    assert gate.eq(1).all()
    assert ffn_gate.eq(1).all()
    assert torch.equal(modulate(x, *layer[1](condition)), x)
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
            k, v = cache.update(
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
    cache.update(0, first, -first)
    cache.advance(2)
    cache.keep(torch.tensor([2, 0]))
    new = torch.full((2, 1, 1, 2), 99.0)
    k, v = cache.update(0, new, new)
    assert k[:, :, :2].equal(first[[2, 0]])
    assert v[:, :, :2].equal(-first[[2, 0]])
    assert k[:, :, 2].equal(new[:, :, 0])


def network(width, layers=1, tied=False):
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(500, width),
            "attention": Attention(width, 2, 2, causal=True),
            "feedforward": SwiGLU(width, 96),
            "time": nn.Linear(width, 40),
            "head": Head(width, 500, bias=False),
            "stop": Head(width, 300),
        }
    )
    if tied:
        model["head"].weight = model["embedding"].weight
    torch.manual_seed(0)
    initialise(model, layers)
    return model


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("layers", [1, 8])
@pytest.mark.parametrize("width", [32, 128, 768])
def test_initial_weights_have_the_documented_scale(width, layers, tied):
    model = network(width, layers, tied)
    head = 0.4 / math.sqrt(width)
    stream = head if tied else 1.0
    expected = {
        "embedding.weight": stream,
        "attention.qkv.weight": 1 / math.sqrt(width),
        "attention.out.weight": stream / math.sqrt(width * 2 * layers),
        "feedforward.gate_up.weight": 1 / math.sqrt(width),
        "feedforward.out.weight": stream / math.sqrt(96 * 2 * layers),
        "time.weight": 1 / math.sqrt(width),
        "head.weight": head,
        "stop.weight": head,
    }
    for name, parameter in model.named_parameters():
        weight = parameter.detach()
        if name.endswith("bias"):
            assert weight.abs().max() == 0
            continue
        std = expected.pop(name)
        assert float(weight.std()) == pytest.approx(std, rel=0.05), name
        assert abs(float(weight.mean())) < 0.1 * std
    assert set(expected) == ({"head.weight"} if tied else set())


def test_qk_norm_makes_attention_independent_of_scale_of_queries_and_keys():
    torch.manual_seed(0)
    plain, normed = (
        Attention(16, 4, 2, causal=False, qk_norm=norm) for norm in (False, True)
    )
    plain.load_state_dict(normed.state_dict(), strict=False)
    x, rotary = torch.randn(3, 5, 16), Rotary(4)(torch.arange(5).expand(3, 5))
    before = [layer(x, rotary) for layer in (plain, normed)]
    with torch.no_grad():
        for layer in (plain, normed):
            layer.qkv.weight[: (4 + 2) * 4] *= 100
    after = [layer(x, rotary) for layer in (plain, normed)]
    assert not torch.allclose(before[0], after[0], atol=1e-2)
    torch.testing.assert_close(before[1], after[1], atol=1e-4, rtol=1e-3)


def test_qk_norm_gains_scale_attention_logits_of_every_path():
    """Logits are at most √head_dim times both gains, and every path applies them."""
    torch.manual_seed(0)
    layer = Attention(16, 4, 2, causal=False, qk_norm=True)
    with torch.no_grad():
        layer.query_norm.weight.normal_()
        layer.key_norm.weight.normal_()
    x, rotary = torch.randn(3, 5, 16), Rotary(4)(torch.arange(5).expand(3, 5))
    qkv = layer.qkv(x).view(3, 5, 8, 4)
    q, k, v = (part.transpose(1, 2) for part in qkv.split((4, 2, 2), dim=2))

    def norm(part, gain):
        return part / (part.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * gain

    q, k = norm(q, layer.query_norm.weight), norm(k, layer.key_norm.weight)
    q, k = rotate(q, rotary), rotate(k, rotary)
    k, v = (part.repeat_interleave(2, dim=1) for part in (k, v))
    shares = (q @ k.transpose(-1, -2) / 2).softmax(-1)
    expected = layer.out((shares @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, rotary), expected, atol=1e-5, rtol=1e-4)
    positions = torch.tensor([1, 3, 5, 9, 12])
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            found = layer(x, rotary, positions=positions)
        close = {"atol": 1e-5, "rtol": 1e-4}
        torch.testing.assert_close(found, expected.flatten(0, 1)[positions], **close)

"""The state of a network before its first step, at every width."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlmgen.runtime.nn import Attention, Qwen2Attention, Rotary
from xlmgen.runtime.nn.rotary import rotate
from xlmgen.testing.subject import import_family

FAMILIES = Path(__file__).parents[3] / "families"
ROWS, LENGTH, VOCABULARY, HEADS = 8, 16, 40, 4
WIDTHS = (32, 96, 128, 768)
ATTENTIONS = (Attention, Qwen2Attention)


def network(name, width, layers=4, seed=0):
    torch.manual_seed(seed)
    model = import_family(FAMILIES / name).model
    return model(VOCABULARY, d_model=width, layers=layers, num_heads=HEADS, dropout=0.0)


def ids():
    return torch.randint(VOCABULARY, (ROWS, LENGTH), generator=torch.Generator())


def logits_of(model, input_ids):
    times = {"t": torch.full((ROWS,), 0.5)} if hasattr(model, "time") else {}
    output = model(input_ids, **times)
    return model.head(output if isinstance(output, torch.Tensor) else output[0])


def attention_logits(layer, x):
    """Of a layer for its input, (B, H, L, L)."""
    if isinstance(layer, Attention):
        q, k, _ = layer.qkv(x).chunk(3, dim=-1)
    else:
        q, k = layer.q_proj(x), layer.k_proj(x)
    num_heads = (ROWS, LENGTH, HEADS, x.shape[-1] // HEADS)
    q, k = (part.view(num_heads).transpose(1, 2) for part in (q, k))
    rotary = Rotary(num_heads[-1])(torch.arange(LENGTH)[None])
    q, k = rotate(q, rotary), rotate(k, rotary)
    return q @ k.transpose(-1, -2) / math.sqrt(num_heads[-1])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["arlm", "mdlm", "llada", "dream"])
def test_fresh_network_is_ready_to_learn(name, width):
    model, input_ids = network(name, width), ids()
    seen, streams = [], []
    for module in model.modules():
        if isinstance(module, ATTENTIONS):
            module.register_forward_hook(
                lambda layer, inputs, _: seen.append((layer, inputs[0]))
            )
        if isinstance(module, nn.ModuleList):
            for block in module:
                block.register_forward_hook(
                    lambda _, __, output: streams.append(output)
                )
    with torch.no_grad():
        logits = logits_of(model, input_ids)
    assert len(seen) == len(streams) == 4
    # Attention looks at some positions more than at others, and at more than one.
    for layer, x in seen:
        scores = attention_logits(layer, x).detach()
        assert 0.6 < scores.std() < 1.6
        shares = scores.softmax(-1)
        keys = (-(shares * shares.log()).sum(-1)).exp().mean()
        assert 6 < keys < 0.85 * LENGTH
    # The stream grows from 1 by about as much as all branches together add.
    for stream in streams:
        assert 0.7 < stream.var() < 3
    # A guess, neither sure of anything nor exactly uniform.
    assert 0.3 < logits.std() < 0.6
    targets = torch.randint(VOCABULARY, (ROWS, LENGTH))
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert loss == pytest.approx(math.log(VOCABULARY), rel=0.05)


@pytest.mark.parametrize("width", WIDTHS)
def test_queries_and_keys_get_gradients_as_values_do(width):
    model, input_ids = network("llada", width), ids()
    logits = logits_of(model, input_ids)
    # To predict the token before needs attention.
    F.cross_entropy(logits[:, 1:].flatten(0, 1), input_ids[:, :-1].flatten()).backward()
    for layer in model.modules():
        if isinstance(layer, Attention):
            q, k, v = (part.norm() for part in layer.qkv.weight.grad.chunk(3))
            assert 0.15 < q / v < 3
            assert 0.15 < k / v < 3


@pytest.mark.parametrize("layers", [1, 4, 24])
def test_depth_does_not_grow_the_stream(layers):
    model = network("llada", 64, layers)
    last = []
    model.blocks[-1].register_forward_hook(lambda _, __, y: last.append(y.detach()))
    logits_of(model, ids())
    assert 1.05 < last[0].var() < 3

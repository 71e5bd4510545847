"""Which parameters decay, and what the optimiser is told."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from xlmgen import resources
from xlmgen.experiment import resolve
from xlmgen.registry import load_family
from xlmgen.spec.family import read_family
from xlmgen.training.optimizer import (
    build_optimizer,
    build_schedule,
    parameter_groups,
)

FAMILIES = sorted(
    path.parent.name for path in (resources.root() / "families").glob("*/family.yaml")
)
DECAYING = {
    "transformer": (
        r"blocks\.\d\.attention\.(qkv|out)",
        r"blocks\.\d\.feedforward\.(up|gate_up|out)",
        r"(blocks\.\d\.)?modulation",
        r"time\.network\.\d",
        r"absolute\.projection",
        "head|stop|gap|length",
    ),
    "qwen2": (
        r"model\.layers\.\d\.self_attn\.[qkvo]_proj",
        r"model\.layers\.\d\.mlp\.(gate|up|down)_proj",
        "lm_head",
    ),
}
"""The modules of each model kind whose `weight` decays; no other parameter does."""


@pytest.fixture
def settings(project):
    return resolve("toy.yaml").training


def test_norms_biases_and_embeddings_do_not_decay():
    model = nn.ModuleDict(
        {
            "embed": nn.Embedding(5, 4),
            "norm": nn.LayerNorm(4),
            "linear": nn.Linear(4, 4),
            "tied": nn.Linear(4, 5, bias=False),
            "head": nn.Linear(4, 5, bias=False),
        }
    )
    model["tied"].weight = model["embed"].weight
    model["head"].weight.requires_grad_(False)
    decay, rest = parameter_groups(model, 0.1)
    assert (decay["weight_decay"], rest["weight_decay"]) == (0.1, 0.0)
    assert [id(p) for p in decay["params"]] == [id(model["linear"].weight)]
    assert {id(p) for p in rest["params"]} == {
        id(p)
        for p in (
            model["embed"].weight,
            model["linear"].bias,
            *model["norm"].parameters(),
        )
    }


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_in_every_family_linear_layers_decay_and_nothing_else(name, tied):
    family = load_family(name)
    kind = read_family(resources.root() / "families" / name / "family.yaml").model.kind
    model = family.model(50, **family.sizes["tiny"])
    head = model.get_parameter("lm_head.weight" if kind == "qwen2" else "head.weight")
    if tied:
        embedding = next(m for m in model.modules() if isinstance(m, nn.Embedding))
        embedding.weight = head
    named = {id(p): name for name, p in model.named_parameters(remove_duplicate=True)}
    decay, rest = ([named.pop(id(p)) for p in g["params"]] for g in groups(model))
    assert not named
    pattern = re.compile(rf"(?:{'|'.join(DECAYING[kind])})\.weight")
    assert [n for n in decay if not pattern.fullmatch(n)] == []
    tied_name = ["embedding.weight", "model.embed_tokens.weight"]
    assert [n for n in rest if pattern.fullmatch(n) and n not in tied_name] == []
    assert any(n.endswith(("embedding.weight", "embed_tokens.weight")) for n in rest)
    assert any(id(p) == id(head) for p in groups(model)[tied]["params"])


def groups(model):
    return parameter_groups(model, 0.1)


def test_bare_parameters_do_not_decay():
    """A table of positions, a time embedding and a gain look like matrices too."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = nn.Parameter(torch.zeros(7, 4))
            self.gain = nn.Parameter(torch.ones(1, 1, 4))
            self.attention = nn.MultiheadAttention(4, 2)
            self.bag = nn.EmbeddingBag(5, 4)

    model = Model()
    decay, _ = groups(model)
    assert {id(p) for p in decay["params"]} == {
        id(model.attention.in_proj_weight),
        id(model.attention.out_proj.weight),
    }


def test_the_optimizer_takes_the_settings(settings):
    some = replace(settings, warmup_steps=4, learning_rate=0.5, betas=(0.8, 0.95))
    optimizer = build_optimizer(nn.Linear(2, 2), some)
    schedule = build_schedule(optimizer, some)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == [0.125, 0.25, 0.375, 0.5, 0.5]
    assert optimizer.defaults["betas"] == (0.8, 0.95)
    assert isinstance(optimizer, torch.optim.AdamW)

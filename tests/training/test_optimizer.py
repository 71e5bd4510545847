"""Which parameters decay, which get Muon, and what the optimisers are told."""

import math
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from xlmgen import resources
from xlmgen.errors import UserError
from xlmgen.experiment import resolve
from xlmgen.experiment.settings import OptimizerSettings
from xlmgen.registry import load_family
from xlmgen.spec.family import read_family
from xlmgen.training.optimizer import (
    build_optimizer,
    build_schedule,
    hidden_matrices,
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
        r"(absolute|next_position)\.projection",
        "head|stop|gap|length",
    ),
    "qwen2": (
        r"model\.layers\.\d\.self_attn\.[qkvo]_proj",
        r"model\.layers\.\d\.mlp\.(gate|up|down)_proj",
        "lm_head",
    ),
}
"""The modules of each model kind whose `weight` decays; no other parameter does."""
HIDDEN = {
    "transformer": (
        r"blocks\.\d\.attention\.(qkv|out)",
        r"blocks\.\d\.feedforward\.(up|gate_up|out)",
        r"blocks\.\d\.modulation",
    ),
    "qwen2": (
        r"model\.layers\.\d\.self_attn\.[qkvo]_proj",
        r"model\.layers\.\d\.mlp\.(gate|up|down)_proj",
    ),
}
"""The modules of each model kind whose `weight` Muon updates."""
MUON = OptimizerSettings("muon", momentum=0.9)


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


@pytest.mark.parametrize("name", FAMILIES)
def test_in_every_family_muon_gets_the_matrices_of_blocks_only(name, settings):
    family = load_family(name)
    kind = read_family(resources.root() / "families" / name / "family.yaml").model.kind
    model = family.model(50, **family.sizes["tiny"])
    names = {id(p): name for name, p in model.named_parameters()}
    pattern = re.compile(rf"(?:{'|'.join(HIDDEN[kind])})\.weight")
    expected = {name for name in names.values() if pattern.fullmatch(name)}
    optimizer = build_optimizer(model, replace(settings, optimizer=MUON))
    muon, *adamw = ({names[id(p)] for p in g["params"]} for g in optimizer.param_groups)
    assert muon == expected
    assert len(muon) >= 4 * family.sizes["tiny"]["layers"]
    assert set.union(*adamw) == set(names.values()) - expected


class Blocks(nn.Module):
    """Two blocks between an embedding and three heads, one of which is tied."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.positions = nn.Parameter(torch.randn(5, 8))
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(8),
                    "up": nn.Linear(8, 24),
                    "down": nn.Linear(24, 8, bias=False),
                    "frozen": nn.Linear(8, 8).requires_grad_(False),
                    "conv": nn.Conv1d(8, 8, 3),
                    "own": nn.Embedding(3, 8),
                }
            )
            for _ in range(2)
        )
        self.num_heads = nn.ModuleList([nn.Linear(8, 11, bias=False) for _ in range(2)])
        self.num_heads[0].weight = self.embed.weight


def test_hidden_matrices_leave_out_embeddings_heads_norms_and_bare_parameters():
    model = Blocks()
    expected = [b[n].weight for b in model.blocks for n in ("up", "down")]
    assert list(map(id, hidden_matrices(model))) == list(map(id, expected))


def test_a_model_without_blocks_is_refused_muon(settings):
    model = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 3))
    with pytest.raises(UserError, match=r"training\.optimizer.*ModuleList.*adamw"):
        build_optimizer(model, replace(settings, optimizer=MUON))


def orthogonalised(matrix):
    """Five steps of the quintic Newton–Schulz iteration in float64 (Jordan et al. 2024,
    "Muon: An optimizer for hidden layers in neural networks")."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.double()
    x = x / x.norm()
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_muon_and_adamw_update_their_parameters_as_their_papers_say(settings, decay):
    """Two steps with fixed gradients, each against the formula in float64."""
    torch.manual_seed(0)
    model, rate = Blocks(), 0.02
    told = replace(
        settings, optimizer=MUON, weight_decay=decay, warmup_steps=0, betas=(0.8, 0.95)
    )
    optimizer = build_optimizer(model, replace(told, learning_rate=rate))
    matrices = set(map(id, hidden_matrices(model)))
    decaying = {
        id(model.num_heads[1].weight),
        *(id(b["conv"].weight) for b in model.blocks),
    }
    trained = [p for p in model.parameters() if p.requires_grad]
    expected = {id(p): p.detach().double() for p in trained}
    means = {id(p): torch.zeros_like(p, dtype=torch.float64) for p in trained}
    squares = {id(p): torch.zeros_like(p, dtype=torch.float64) for p in trained}
    for step in (1, 2):
        for p in trained:
            p.grad = torch.randn_like(p)
            g, old, mean = p.grad.double(), expected[id(p)], means[id(p)]
            if id(p) in matrices:
                mean.lerp_(g, 1 - 0.9)
                update = orthogonalised(g.lerp(mean, 0.9))  # Nesterov
                update *= 0.2 * math.sqrt(max(p.shape))
                old = old * (1 - rate * decay)
            else:
                mean.lerp_(g, 1 - 0.8)
                squares[id(p)].lerp_(g * g, 1 - 0.95)
                second = squares[id(p)] / (1 - 0.95**step)
                update = mean / (1 - 0.8**step) / (second.sqrt() + 1e-8)
                old = old * (1 - rate * decay * (id(p) in decaying))
            expected[id(p)] = old - rate * update
        optimizer.step()
    for p in trained:
        # torch orthogonalises in bfloat16
        tolerance = 0.05 * rate if id(p) in matrices else 1e-5
        torch.testing.assert_close(
            p.detach().double(), expected[id(p)], rtol=0, atol=tolerance
        )


def test_the_schedule_moves_the_learning_rate_of_both_optimisers(settings):
    some = replace(settings, optimizer=MUON, warmup_steps=4, learning_rate=0.5)
    model = Blocks()
    optimizer = build_optimizer(model, some)
    schedule = build_schedule(optimizer, some)
    for rate in (0.125, 0.25, 0.375, 0.5, 0.5):
        assert [group["lr"] for group in optimizer.param_groups] == [rate] * 3
        before = model.blocks[0]["up"].weight.detach().clone()
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        schedule.step()
        moved = (model.blocks[0]["up"].weight - before).norm() / rate
        assert moved > 0.1  # by the schedule's rate, not by the one of the beginning


def test_muon_continues_exactly_from_its_state(settings, tmp_path):
    """Also the learning rate: a group that was loaded is the one that is scheduled."""
    some = replace(settings, optimizer=MUON, warmup_steps=3, learning_rate=0.5)

    def begun():
        torch.manual_seed(1)
        model = Blocks()
        optimizer = build_optimizer(model, some)
        return model, optimizer, build_schedule(optimizer, some)

    def train(parts, steps):
        model, optimizer, schedule = parts
        for step in steps:
            torch.manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.found_inf = torch.tensor(float(step == 5))
            optimizer.step()
            schedule.step()

    unbroken, first, second = begun(), begun(), begun()
    train(unbroken, range(8))
    train(first, range(4))
    torch.save([part.state_dict() for part in first], tmp_path / "state.pt")
    states = torch.load(tmp_path / "state.pt", weights_only=True)
    for part, state in zip(second, states, strict=True):
        part.load_state_dict(state)
    train(second, range(4, 8))
    for ours, theirs in zip(
        unbroken[0].parameters(), second[0].parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_first_step_of_muon_that_is_skipped_changes_nothing(settings):
    """Where there is no momentum yet."""
    model = Blocks()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = build_optimizer(model, replace(settings, optimizer=MUON))
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan)
    optimizer.found_inf = torch.tensor(1.0)
    optimizer.step()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    for values in optimizer.state.values():
        assert all(not tensor.any() for tensor in values.values())

"""Which parameters decay, and how the learning rate moves."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from xlmgen.experiment import resolve
from xlmgen.training.optimizer import (
    build_optimizer,
    build_schedule,
    learning_rate_factor,
    parameter_groups,
)


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


@pytest.mark.parametrize(
    ("schedule", "half", "end"),
    [("constant", 1.0, 1.0), ("linear", 0.5, 0.0), ("cosine", 0.5, 0.0)],
)
def test_every_schedule_warms_up(settings, schedule, half, end):
    some = replace(settings, schedule=schedule, warmup_steps=10, max_steps=110)
    factor = learning_rate_factor(some)
    assert [factor(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert factor(10) == 1.0
    assert factor(60) == pytest.approx(half)
    assert factor(110) == pytest.approx(end)
    assert factor(500) == pytest.approx(end)


def test_cosine_is_a_cosine(settings):
    some = replace(settings, schedule="cosine", warmup_steps=0, max_steps=100)
    factor = learning_rate_factor(some)
    assert factor(25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)


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

"""A training step never waits for its device: on one without numbers it would fail."""

import pytest
import torch

from xlmgen import resources
from xlmgen.data.task import load_task
from xlmgen.experiment import resolve
from xlmgen.registry import load_family
from xlmgen.runs.model import build_model
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.training.harness import Harness

FAMILIES = sorted(
    path.parent.name for path in resources.root().glob("families/*/family.yaml")
)
NUMBERS = ["model.layers=2", "model.d_model=32", "model.num_heads=2"]
FULL = [{"tokens": [5, 6, 7, 8]}] * 3
PADDED = [{"tokens": [5, 6, 7, 8]}, {"tokens": [5]}]
# BOS and EOS are 1 and 2.
DOCUMENTS = [
    {
        "tokens": [1, 5, 2, 1, 6, 7],
        "packed": True,
        "documents": [1, 1, 1, 2, 2, 2],
    }
] * 3
APART = [name for name in FAMILIES if name != "ilm"]  # it takes rows as wholes


def moved(value, device):
    return value.to(device) if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("look", [torch.Tensor.item, bool, torch.nonzero])
def test_a_device_without_numbers_cannot_be_waited_for(look):
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        look(torch.ones((), device="meta"))


@pytest.mark.parametrize(
    ("name", "examples"),
    [(name, rows) for name in FAMILIES for rows in (FULL, PADDED)]
    + [(name, DOCUMENTS) for name in APART],
)
def test_a_step_does_not_wait(project, name, examples):
    experiment = resolve("toy.yaml", [f"family={name}", "size=tiny", *NUMBERS])
    task, family = load_task(experiment.task), load_family(name)
    tokens = task.tokenizer.special
    batch = family.collators["lm"](tokens, MaxLength(6))(examples, None)
    with torch.device("meta"):
        harness = Harness(
            build_model(family, tokens, experiment),
            family.loss(tokens),
            family.metrics(),
            experiment.training,
        ).train()
    batch = {key: moved(value, "meta") for key, value in batch.items()}
    harness.training_step(batch, 0).backward()
    harness.configure_gradient_clipping(
        harness.configure_optimizers()["optimizer"], 1.0
    )
    assert harness.gradient_norm.is_meta
    assert any(p.grad is not None for p in harness.model.parameters())

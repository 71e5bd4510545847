"""Recomputed, sharded and compiled blocks compute what plain ones do."""

from functools import partial

import pytest
import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from xlmgen.data.datamodule import DataModule
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.experiment import resolve
from xlmgen.registry import load_family
from xlmgen.runs.model import build_model
from xlmgen.training.blocks import blocks_of, recompute_activations
from xlmgen.training.harness import Harness
from xlmgen.training.sharding import gather_weights, release_weights, shard

FAMILIES = ("arlm", "mlm", "mdlm", "llada", "dream", "bd3lm", "flexmdm", "ilm", "udlm")


def parts(name, *overrides):
    """A harness of two layers with dropout, and one of its training batches."""
    numbers = ["size=tiny", "model.dropout=0.2", *overrides]
    if name != "toy":
        numbers += ["model.layers=2", "model.d_model=32", "model.num_heads=2"]
    experiment = resolve("toy.yaml", [f"family={name}", *numbers])
    task, family = load_task(experiment.task), load_family(name)
    data = DataModule(task, family, batch_size=4, eval_batch_size=4, seed=0)
    torch.manual_seed(0)
    tokens = task.tokenizer.special
    harness = Harness(
        build_model(family, tokens, experiment),
        family.loss(tokens),
        family.metrics(),
        experiment.training,
    )
    return harness.train(), next(iter(data.train_dataloader()))


def gradients(harness, batch):
    """The loss, and the gradient of every parameter, whole."""
    torch.manual_seed(1)
    loss = harness.training_step(batch, 0)
    loss.backward()
    found = {}
    for name, parameter in harness.model.named_parameters():
        grad = parameter.grad
        found[name] = grad.full_tensor() if isinstance(grad, DTensor) else grad
    return loss.detach(), found


def assert_same(ours, theirs):
    assert torch.equal(ours[0], theirs[0])
    assert ours[1].keys() == theirs[1].keys()
    for name, grad in ours[1].items():
        assert torch.equal(grad, theirs[1][name]), name


@pytest.fixture
def mesh(tmp_path):
    """One process as if it were several: its parameters are sharded over itself."""
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_plain_blocks(project, mesh, family):
    plain = gradients(*parts(family))

    again, batch = parts(family, "training.activation_checkpointing=true")
    calls = []
    for block in blocks_of(again.model):
        block.register_forward_hook(lambda *_: calls.append("outside"))
        inner = next(m for m in block.modules() if isinstance(m, torch.nn.Linear))
        inner.register_forward_hook(lambda *_: calls.append("inside"))
    assert_same(gradients(again, batch), plain)
    assert (calls.count("outside"), calls.count("inside")) == (2, 4)

    # With the loss's writing into logits, and once more after whole weights.
    sharded, batch = parts(family, "training.activation_checkpointing=true")
    names = list(sharded.model.state_dict())
    shard(sharded.model, mesh)
    assert all(isinstance(p, DTensor) for p in sharded.model.parameters())
    gather_weights(sharded.model)
    assert not any(isinstance(p, DTensor) for p in sharded.model.parameters())
    with torch.inference_mode():
        sharded.measure(batch)
    release_weights(sharded.model)
    assert all(isinstance(p, DTensor) for p in sharded.model.parameters())
    assert_same(gradients(sharded, batch), plain)
    assert list(sharded.model.state_dict()) == names


def test_a_loss_may_write_into_what_a_sharded_model_returns(project, mesh):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList([torch.nn.Linear(4, 4)])
            self.head = torch.nn.Linear(4, 4)

        def forward(self, x):
            return self.head(self.layers[0](x).relu()).view(-1)

    model = Model()
    shard(model, mesh)
    out = model(torch.ones(2, 4))
    out[0] = 0.0
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_evaluation_recomputes_nothing(project):
    harness, batch = parts("mlm", "training.activation_checkpointing=true")
    calls = []
    for block in blocks_of(harness.model):
        block.attention.register_forward_hook(lambda *_: calls.append(1))
    harness.eval()
    harness.measure(batch)["loss"].backward()
    assert len(calls) == 2


def test_a_model_without_blocks_cannot_recompute_them():
    with pytest.raises(UserError, match="no list of blocks"):
        recompute_activations(torch.nn.Sequential(torch.nn.Linear(2, 2)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # dynamo's own
@pytest.mark.parametrize("strategy", ["auto", "fsdp"])
def test_compiled_blocks_recompute_too(project, monkeypatch, strategy):
    """As a whole, or block by block as with fsdp. Traced, and not turned into C++."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain_loss, plain = gradients(*parts("mlm", "model.dropout=0"))
    compiled, batch = parts(
        "mlm",
        "model.dropout=0",
        "training.compile=true",
        "training.activation_checkpointing=true",
        f"training.strategy={strategy}",
    )
    frames = torch._dynamo.utils.counters["frames"]
    before = frames["ok"]
    loss, found = gradients(compiled, batch)
    torch.testing.assert_close(loss, plain_loss)
    assert found.keys() == plain.keys()
    for name, grad in found.items():
        torch.testing.assert_close(grad, plain[name])
    assert frames["ok"] > before

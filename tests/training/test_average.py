"""The moving average of the weights: what it is, and who uses it."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from xlmgen.cli import main
from xlmgen.runs.build import build
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training.average import Average, decay_at

DECAY = 0.4  # (1 + n) / (10 + n) is less until step 5


def train(folder, *overrides, code=0):
    rate = "training.learning_rate=0.2"  # so that the average lags visibly
    assert main(["train", "toy.yaml", "--run-dir", folder, rate, *overrides]) == code
    return Run.open(folder)


@pytest.fixture
def averaged(project, capsys):
    run = train("averaged", f"training.ema_decay={DECAY}")
    capsys.readouterr()
    return run


def result(run, capsys, *arguments, name="test"):
    assert main(["eval", str(run.path), *arguments]) == 0
    out = capsys.readouterr().out
    return json.loads((run.path / "results" / f"{name}.json").read_text()), out


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(3)


def test_tied_weights_are_one_and_buffers_are_the_models():
    model = Tied()
    average = Average(model, 0.9)
    assert average.state_dict().keys() == model.state_dict().keys()
    before = model.embed.weight.detach().clone()
    with torch.no_grad():
        model.embed.weight.add_(1.0)
        model.norm.running_mean.add_(7.0)
        model.norm.num_batches_tracked.add_(1)
    average.update(1)
    state = average.state_dict()
    assert state["embed.weight"].data_ptr() == state["head.weight"].data_ptr()
    moved = state["embed.weight"] - before
    assert torch.allclose(moved, torch.full((5, 3), 1 - 2 / 11), atol=1e-6)
    assert torch.equal(state["norm.running_mean"], torch.full((3,), 7.0))
    assert state["norm.num_batches_tracked"] == 1


def test_two_swaps_are_none():
    model = Tied()
    average, raw = Average(model, 0.9), {k: v.clone() for k, v in named(model)}
    with torch.no_grad():
        model.head.weight.mul_(2)
    places = {name: p.data_ptr() for name, p in model.named_parameters()}
    average.swap()
    assert model.head.weight is model.embed.weight
    assert all(torch.equal(value, raw[name]) for name, value in named(model))
    average.swap()
    assert torch.equal(model.head.weight, 2 * raw["embed.weight"])
    assert {n: p.data_ptr() for n, p in model.named_parameters()} == places


def named(model):
    return [(name, p.detach()) for name, p in model.named_parameters()]


def test_little_is_kept_at_first():
    assert [decay_at(step, 0.9999) for step in (1, 8)] == [2 / 11, 0.5]
    assert decay_at(10**6, 0.9999) == 0.9999


@pytest.mark.parametrize(
    "more", [[], ["training.accumulate=3"], ["training.precision=bf16-mixed"]]
)
def test_it_is_the_average_of_the_weights_of_every_step(project, more):
    """Recomputed in 64 bits from a checkpoint of every step."""
    every = ["training.checkpoint_every=1", "training.keep=null"]
    run = train("run", f"training.ema_decay={DECAY}", *every, *more)
    expected = {
        name: value.double() for name, value in build(run).model.state_dict().items()
    }
    for step in range(1, 13):
        _, folder = run.checkpoint(str(step))
        raw = load_file(folder / "model.safetensors")
        ema = load_file(folder / "ema.safetensors")
        assert raw.keys() == ema.keys() == expected.keys()
        keep = min(DECAY, (1 + step) / (10 + step))
        for name, value in expected.items():
            expected[name] = keep * value + (1 - keep) * raw[name].double()
            assert ema[name].dtype == torch.float32
            assert torch.allclose(ema[name].double(), expected[name], 1e-4, 1e-6), name
            assert not torch.allclose(raw[name].double(), expected[name], 1e-4, 1e-6)


def test_it_changes_nothing_in_training(averaged, capsys):
    plain = train("plain")
    for step in ("best", "last"):
        ours, theirs = (
            load_file(run.checkpoint(step)[1] / "model.safetensors")
            for run in (averaged, plain)
        )
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (plain.checkpoint()[1] / "ema.safetensors").exists()
    ours, theirs = (read_rows(run.path / "metrics.csv") for run in (averaged, plain))
    assert [r["train/loss"] for r in ours] == [r["train/loss"] for r in theirs]
    assert ours[-1]["val/loss"] != theirs[-1]["val/loss"]


def test_validation_eval_and_generate_use_it(averaged, capsys):
    plain, split = train("plain"), ("--split", "validation")
    default, out = result(averaged, capsys, *split, name="validation")
    assert default["weights"] == "ema"
    assert "step 12, ema weights; " in out
    last = read_rows(averaged.path / "metrics.csv")[-1]
    loss = default["loss"]["loss"]
    assert float(last["val/loss"]) == pytest.approx(loss, rel=1e-5)
    raw, out = result(
        averaged, capsys, *split, "--weights", "raw", name="validation-weights=raw"
    )
    assert (raw["weights"], "ema weights" in out) == ("raw", False)
    assert abs(raw["loss"]["loss"] - loss) > 1e-3
    without, _ = result(plain, capsys, *split, name="validation")
    assert without["weights"] == "raw"
    assert without["loss"] == raw["loss"]

    texts = {}
    for weights in (None, "ema", "raw"):
        option = [] if weights is None else ["--weights", weights]
        assert main(["generate", "averaged", "--num", "20", *option]) == 0
        texts[weights] = capsys.readouterr().out
    assert texts[None] == texts["ema"]
    assert texts["ema"].startswith("step 12, ema weights\n")
    assert texts["raw"].startswith("step 12, raw weights\n")
    assert texts["ema"].splitlines()[1:] != texts["raw"].splitlines()[1:]
    assert main(["generate", "plain", "--num", "20"]) == 0
    assert capsys.readouterr().out == texts["raw"].split("\n", 1)[1]


def test_either_file_is_enough_to_evaluate(averaged, capsys):
    folder = averaged.checkpoint()[1]
    before = result(averaged, capsys)[0]
    (folder / "model.safetensors").rename(folder / "set_aside")
    (folder / "state.pt").unlink()
    assert result(averaged, capsys)[0] == before
    assert main(["eval", "averaged", "--weights", "raw"]) == 2
    assert "model.safetensors is missing" in capsys.readouterr().err


def test_a_run_without_it_has_none(project, capsys):
    train("plain", "training.max_steps=1")
    capsys.readouterr()
    for command in (["eval", "plain"], ["generate", "plain"]):
        assert main([*command, "--weights", "ema"]) == 2
        assert "no averaged weights; only runs with training.ema_decay" in (
            capsys.readouterr().err
        )
    assert main(["eval", "plain", "--weights", "emma"]) == 2
    assert "Did you mean 'ema'?" in capsys.readouterr().err
    train("plain", "training.ema_decay=0.9", code=2)
    assert "training.ema_decay is 0.9 here and null there" in capsys.readouterr().err
    assert main(["train", "toy.yaml", "training.ema_decay=1"]) == 2
    assert "must be > 0 and < 1" in capsys.readouterr().err

"""Losses and gradients that are not finite, and what nobody waits for."""

import math
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from rich.console import Console
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.runs.checkpoint_folder import checkpoints
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training import trainer as trainer_module
from xlmgen.training.harness import Harness
from xlmgen.training.train import train

WAITS = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select"}
"""Operations whose result, or its shape, the host reads from the device."""
READS = ("tolist", "cpu", "numpy", "item", "__float__", "__bool__", "__int__")
"""Methods of a tensor that do, some of them out of sight of a dispatch mode."""


@pytest.fixture
def spoil(monkeypatch):
    """Make the losses of some batches NaN or infinite, or only their gradients."""

    def choose(batches, how):
        real, seen = Harness.measure, iter(range(1, 1000))

        def measure(self, batch):
            output = real(self, batch)
            if self.training and torch.is_grad_enabled() and next(seen) in batches:
                output["loss"] = how(output["loss"])
            return output

        monkeypatch.setattr(Harness, "measure", measure)

    return choose


HOWS = {
    "NaN": lambda loss: loss * math.nan,
    "an infinite loss with finite gradients": lambda loss: loss + math.inf,
    "a gradient of a finite loss": lambda loss: loss + (loss - loss.detach()).sqrt(),
}
hows = pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)


def run(folder, *overrides):
    console = Console(quiet=True)
    overrides = ["loggers=[]", "training.log_every=1", *overrides]
    assert train(resolve("toy.yaml", overrides), Path(folder), console) == 0
    return Run.open(folder)


def rows(made):
    return read_rows(made.path / "metrics.csv")


def weights(folder):
    return load_file(folder / "model.safetensors")


@hows
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_step_that_is_skipped_changes_nothing(project, spoil, how, kind):
    """Neither weights nor an optimiser's state: the other steps are as without it."""
    spoil({5}, how)
    every = [
        "training.on_nan=skip",
        "training.checkpoint_every=1",
        "training.keep=null",
        f"training.optimizer.kind={kind}",
    ]
    made = run("a", *every, "training.max_steps=6")
    before, after = (weights(checkpoints(made.checkpoints)[step]) for step in (4, 5))
    assert all(torch.equal(before[name], after[name]) for name in before)
    states = [
        torch.load(checkpoints(made.checkpoints)[step] / "state.pt", weights_only=True)
        for step in (4, 5)
    ]
    moments = [state["optimizer_states"][0]["state"] for state in states]
    for one, other in zip(moments[0].values(), moments[1].values(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert [float(row["train/skipped"]) for row in rows(made)] == [0, 0, 0, 0, 1, 0]
    last = weights(checkpoints(made.checkpoints)[6])
    assert any(not torch.equal(last[name], after[name]) for name in last)
    assert all(tensor.isfinite().all() for tensor in last.values())


def test_rows_are_means_over_the_steps_that_counted(project, spoil):
    spoil({2, 6}, HOWS["NaN"])
    each = rows(run("each", "training.on_nan=skip"))
    spoil({2, 6}, HOWS["NaN"])
    made = run("rows", "training.on_nan=skip", "training.log_every=3")
    assert each[1]["train/loss"] == each[5]["train/grad_norm"] == "nan"
    for number, row in enumerate(rows(made)):
        part = [
            r for r in each[3 * number : 3 * number + 3] if r["train/loss"] != "nan"
        ]
        norms = [float(r["train/grad_norm"]) for r in part]
        losses = [float(r["train/loss"]) for r in part]
        assert float(row["train/loss"]) == pytest.approx(sum(losses) / len(part))
        assert float(row["train/grad_norm"]) == pytest.approx(sum(norms) / len(part))
        assert float(row["train/grad_norm_max"]) == max(norms)
        assert float(row["train/skipped"]) == 3 - len(part)


def test_the_norm_is_that_of_the_gradient_before_it_is_clipped(project):
    """AdamW's first moment after one step is a tenth of what it was given."""
    norms, given = [], []
    for number, clip in enumerate(("1e-6", "null")):
        options = ["training.max_steps=1", f"training.gradient_clip={clip}"]
        made = run(f"run{number}", *options)
        norms.append(float(rows(made)[0]["train/grad_norm"]))
        file = made.checkpoint("last")[1] / "state.pt"
        state = torch.load(file, weights_only=True)["optimizer_states"][0]["state"]
        moments = [entry["exp_avg"].flatten() for entry in state.values()]
        given.append(10 * float(torch.cat(moments).norm()))
    assert norms[0] == norms[1] > 1e-3
    assert given == pytest.approx([1e-6, norms[1]], rel=1e-3)


@hows
def test_a_run_stops_at_the_next_row_and_keeps_its_last_checkpoint(
    project, spoil, how, capsys
):
    spoil({7, 8}, how)
    options = ["training.log_every=9", "training.checkpoint_every=5", "loggers=[]"]
    options += ["training.validate_every=12"]
    assert main(["train", "toy.yaml", *options]) == 2
    out, err = capsys.readouterr()
    assert (
        "in 2 of the steps 1 to 9, first in step 7, at a learning rate of 0.01" in err
    )
    assert "the last checkpoint is that of step 5" in err
    assert "training.on_nan=skip" in err
    assert "Traceback" not in out + err
    made = Run.open("runs/toy")
    assert list(checkpoints(made.checkpoints)) == [5]
    assert all(t.isfinite().all() for t in weights(made.checkpoint("last")[1]).values())
    # The message proposes to skip the two steps, which are 2 and 3 from 5 on.
    spoil({2, 3}, how)
    assert main(["train", "toy.yaml", *options, "training.on_nan=skip"]) == 0
    assert [row["train/skipped"] for row in rows(made)] == ["2.0", "0.0"]


def test_no_checkpoint_is_written_after_a_step_that_was_not_finite(project, spoil):
    """Also where one is due before the next row."""
    spoil({3}, HOWS["NaN"])
    with pytest.raises(Exception, match=r"first in step 3.*is that of step 2") as error:
        run("a", "training.log_every=12", "training.checkpoint_every=2")
    assert type(error.value).__name__ == "UserError"
    assert list(checkpoints(Path("a/checkpoints"))) == [2]


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("clip", ["1.0", "null"])
def test_between_two_rows_nobody_waits_for_the_device(project, monkeypatch, clip, kind):
    """Every look at a number that is on the device is such a wait."""
    waits = {}
    step = None  # of the run, while a batch is trained on

    def count():
        if step is not None:
            waits[step] = waits.get(step, 0) + 1

    def counted(method):
        def read(*args, **options):
            count()
            return method(*args, **options)

        return read

    for name in READS:
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name)))

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function.overloadpacket.__name__ in WAITS:
                count()
            return function(*args, **(kwargs or {}))

    class First(Callback):
        def on_train_batch_start(self, trainer, *_):
            nonlocal step
            step = trainer.global_step + 1
            mode.__enter__()

    class Last(Callback):
        def on_train_batch_end(self, *_):
            nonlocal step
            step = None
            mode.__exit__(None, None, None)

    mode, real = Count(), trainer_module.Trainer

    def watched(*args, callbacks, **options):
        return real(*args, callbacks=[First(), *callbacks, Last()], **options)

    monkeypatch.setattr(trainer_module, "Trainer", watched)
    run(
        "a",
        *("training.log_every=5", "training.max_steps=9", "training.validate_every=20"),
        *("training.checkpoint_every=20", f"training.gradient_clip={clip}"),
        *("evaluation.generate=0", f"training.optimizer.kind={kind}"),
    )
    assert sorted(waits) == [5, 9]  # the row; the end, with its validation and all
    assert waits[5] == 1


def test_a_validation_with_one_bad_batch_has_no_loss(project, monkeypatch):
    """Nor is such a step ever the best: 37 rows are three batches."""
    real = Harness.measure

    def measure(self, batch):
        output = real(self, batch)
        step = self.trainer.global_step
        if not self.training and step == 12 and len(batch["input_ids"]) < 16:
            output["loss"] = output["loss"] * math.nan
        return output

    monkeypatch.setattr(Harness, "measure", measure)
    made = run("run", "training.checkpoint_every=6")
    seen = {int(row["step"]): row.get("val/loss") for row in rows(made)}
    losses = {step: float(loss) for step, loss in seen.items() if loss}
    assert math.isfinite(losses[6])
    assert math.isnan(losses[12])
    assert made.checkpoint("best")[0] == 6


def test_only_the_first_process_reports_a_step_that_is_not_finite(
    project, spoil, monkeypatch, capsys
):
    monkeypatch.setattr("xlmgen.training.fit.is_first", lambda: False)
    spoil({2}, HOWS["NaN"])
    assert main(["train", "toy.yaml", "loggers=[]"]) == 2
    assert capsys.readouterr().err == ""

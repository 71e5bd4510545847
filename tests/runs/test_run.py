"""Run folders: contents and refusals."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.experiment import resolve
from xlmgen.runs.checkpoint_folder import checkpoints
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.terminal.console import SafeConsole
from xlmgen.training.train import train


def run(folder, *overrides):
    train(resolve("toy.yaml", overrides), Path(folder), Console(quiet=True), ["xlmgen"])
    return Run.open(folder)


def snapshot(folder):
    return {
        file: file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()
    }


def test_run_folder_has_all_inputs(project):
    made = run("a")
    folder = project / "a"
    for name in ("toy_task.yaml", "families", "toy.yaml"):  # it stands alone
        (project / name).rename(project / f"gone_{name}")
    assert made.experiment.training == resolve("gone_toy.yaml").training
    source = project / "gone_families" / "toy" / "__init__.py"
    copy = folder / "families" / "toy" / "__init__.py"
    assert copy.read_bytes() == source.read_bytes()
    family, task = made.load_family(), made.load_task()
    assert Path(family.model.__init__.__code__.co_filename) == copy
    assert (len(task.examples("validation")), len(task.examples("test"))) == (37, 41)
    record = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
    assert record["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert (record["seed"], record["command"]) == (0, ["xlmgen"])
    assert list((folder / "tensorboard").iterdir())


def test_metrics_have_one_row_per_step_with_mean_loss(project):
    every = read_rows(run("every", "training.log_every=1").path / "metrics.csv")
    third = read_rows(run("third").path / "metrics.csv")
    with (project / "third" / "metrics.csv").open(encoding="utf-8") as file:
        columns = next(csv.reader(file))
    assert columns[:3] == ["step", "train/loss", "train/lr"]
    assert {"val/loss", "val/nll", "val/exact_match"} <= set(columns)
    assert [int(row["step"]) for row in every] == list(range(1, 13))
    for number, row in enumerate(third):
        losses = [float(r["train/loss"]) for r in every[3 * number : 3 * number + 3]]
        assert float(row["train/loss"]) == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert [float(row["train/lr"]) for row in every[:3]] == [0.005, 0.01, 0.01]
    assert "val/loss" in third[1]
    assert "val/loss" not in third[0]
    loss, nll = float(third[1]["val/loss"]), float(third[1]["val/nll"])
    assert math.isclose(loss, nll, rel_tol=1e-6)


def test_accumulated_batches_equal_one_large_batch(project):
    """Without dropout four batches of two rows train like one batch of eight."""
    common = ["model.dropout=0", "training.max_steps=4", "training.log_every=1"]
    whole = run("whole", "training.batch_size=8", *common)
    parts = run("parts", "training.batch_size=2", "training.accumulate=4", *common)
    for name in ("train/loss", "val/loss"):
        ours, theirs = (
            [float(r[name]) for r in read_rows(m.path / "metrics.csv") if name in r]
            for m in (whole, parts)
        )
        assert ours == pytest.approx(theirs, rel=2e-3)


def test_run_shorter_than_intervals_has_a_checkpoint(project):
    made = run("a", "training.max_steps=1")
    assert list(checkpoints(made.checkpoints)) == [1]
    assert made.checkpoint("best") == made.checkpoint("last") == made.checkpoint()


@pytest.mark.parametrize(("keep", "steps"), [("0", 1), ("1", 2), ("null", 6)])
def test_last_best_and_requested_number_are_kept(project, keep, steps):
    made = run("a", "training.checkpoint_every=2", f"training.keep={keep}")
    found = list(checkpoints(made.checkpoints))
    best, _ = made.checkpoint("best")
    assert best == 12  # the loss still falls
    assert len(found) == steps
    assert found == list(range(2, 13, 2))[-steps:]


@pytest.mark.parametrize(
    ("keep", "steps"), [(0, [5, 10, 12]), (1, [5, 8, 10, 12]), (2, [5, 6, 8, 10, 12])]
)
def test_every_nth_checkpoint_is_kept(project, keep, steps):
    """Saved at 4, 8, 12; kept at 5 and 10 permanently, and at 6 and 12 as best."""
    options = ["training.keep_every=5", f"training.keep={keep}"]
    made = run("whole", *options)
    assert list(checkpoints(made.checkpoints)) == steps
    assert made.checkpoint("best")[0] == 12
    run("parts", "training.max_steps=7", *options)
    assert list(checkpoints(run("parts", *options).checkpoints))[:1] == [5]


def test_best_checkpoint_has_lowest_validation_loss(project):
    made = run("a", "training.learning_rate=1.0", "training.validate_every=1")
    rows = read_rows(made.path / "metrics.csv")
    losses = {int(row["step"]): float(row["val/loss"]) for row in rows}
    best, folder = made.checkpoint("best")
    assert best == min(losses, key=losses.__getitem__)
    last, _ = made.checkpoint("last")
    assert best < last  # the learning rate is far too high
    assert (folder / "model.safetensors").is_file()


def test_other_experiment_is_refused_without_changes(project):
    run("a")
    before = snapshot("a")
    with pytest.raises(UserError) as error:
        run("a", "training.learning_rate=0.5", "training.seed=9", "training.keep=3")
    message = str(error.value)
    assert "training.learning_rate is 0.5 here and 0.01 there" in message
    assert "training.seed is 9 here and 0 there" in message
    assert "keep" not in message
    assert "--run-dir" in message
    assert snapshot("a") == before


def test_run_continues_with_equal_rows_per_step(project):
    """Batch size or number of devices may change if the product is the same."""
    run("a", "training.max_steps=6")
    before = snapshot("a")
    with pytest.raises(UserError, match="a run with 8 rows in a step, not 16"):
        run("a", "training.devices=2")
    assert snapshot("a") == before
    made = run("a", "training.batch_size=2", "training.accumulate=4")
    assert made.checkpoint("last")[0] == 12


def test_folder_that_is_not_a_run_is_refused(project):
    (project / "mine").mkdir()
    (project / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="not a run folder"):
        run("mine")
    with pytest.raises(UserError, match="not a run folder"):
        run("toy.yaml")
    assert snapshot("mine") == {Path("mine/thesis.txt"): b"years of work"}


def test_empty_folder_is_accepted(project):
    (project / "empty").mkdir()
    assert run("empty").checkpoint("last")[0] == 12


def test_run_that_cannot_start_leaves_no_folder(project):
    with pytest.raises(UserError, match="no task"):
        run("a", "task=stars")
    assert not (project / "a").exists()
    assert not list(project.glob(".a*"))


def test_run_continues_with_its_copy_of_the_family(project, capsys):
    run("a", "training.max_steps=6")
    source = project / "families" / "toy" / "__init__.py"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("nll.sum() /", "0 * nll.sum() /"), encoding="utf-8")
    train(resolve("toy.yaml"), Path("a"), SafeConsole())
    assert "has changed since" in capsys.readouterr().out
    rows = read_rows(project / "a" / "metrics.csv")
    assert float(rows[-1]["train/loss"]) > 0


def test_weights_have_names_of_the_model(project):
    made = run("a")
    weights = load_file(made.checkpoint("last")[1] / "model.safetensors")
    family = made.load_family()
    assert (
        weights.keys() == family.model(15, **family.sizes["tiny"]).state_dict().keys()
    )


@pytest.mark.parametrize(
    ("which", "message"),
    [("7", "no checkpoint '7'"), ("newest", "no checkpoint 'newest'")],
)
def test_missing_checkpoint_is_reported(project, which, message):
    made = run("a")
    with pytest.raises(UserError, match=message) as error:
        made.checkpoint(which)
    assert "12" in str(error.value)


@pytest.mark.parametrize(
    ("capabilities", "noted"),
    [
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, True),
        ({"avx512_bf16": True, "amx_bf16": False}, False),
        ({"neon": True}, False),  # not known
    ],
)
def test_emulated_bfloat16_is_noted(project, monkeypatch, capsys, capabilities, noted):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: capabilities, raising=False
    )
    words = ["train", "toy.yaml", "training.precision=bf16-mixed", "loggers=[]"]
    assert main([*words, "training.max_steps=1"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert ("this CPU has no bfloat16 instructions" in out) == noted
    assert main([*words[:2], "training.max_steps=1", "--run-dir", "full"]) == 0
    assert "bfloat16" not in capsys.readouterr().out

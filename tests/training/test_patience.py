"""Runs that end because their validations no longer improve."""

import math
import os
import signal
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.runs.checkpoint_folder import checkpoints
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training import fit as fit_module
from xlmgen.training.harness import Harness
from xlmgen.training.train import train

COMMON = ("training.validate_every=2", "training.log_every=3", "loggers=[]")


@pytest.fixture
def losses(monkeypatch):
    """Choose val/loss by the step: training itself is as it was."""

    def choose(values):
        real = Harness.validation_metrics

        def chosen(self):
            return {**real(self), "loss": values[self.trainer.global_step]}

        monkeypatch.setattr(Harness, "validation_metrics", chosen)

    return choose


LOSSES = {2: 3.0, 4: 2.0, 6: 2.0, 8: math.nan, 10: 2.5, 12: 1.0}
"""Nothing better than at step 4 until step 12."""


def run(folder, *overrides):
    console = Console(quiet=True)
    assert train(resolve("toy.yaml", [*COMMON, *overrides]), Path(folder), console) == 0
    return Run.open(folder)


def steps(made):
    return [int(row["step"]) for row in read_rows(made.path / "metrics.csv")]


def last(made):
    step, folder = made.checkpoint("last")
    return step, load_file(folder / "model.safetensors")


def assert_equal(one, other):
    (ours, weights), (theirs, expected) = last(one), last(other)
    assert ours == theirs
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert read_rows(one.path / "metrics.csv") == read_rows(other.path / "metrics.csv")


@pytest.mark.parametrize(("patience", "end"), [(1, 6), (2, 8), (3, 10), (4, 12)])
def test_it_ends_at_the_validation_that_is_one_too_many(project, losses, patience, end):
    """Equal is not better, and neither is NaN; a gain starts the count anew."""
    losses(LOSSES)
    made = run("a", f"training.patience={patience}")
    assert last(made)[0] == end
    assert made.checkpoint("best")[0] == (4 if end < 12 else 12)


def test_it_says_why_and_again_and_goes_on_where_patience_grows(
    project, losses, capsys
):
    losses(LOSSES)
    command = ["train", "toy.yaml", *COMMON, "training.patience=2"]
    assert main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "ended at step 8: val/loss has not improved in 2 validations since 2.0000 at "
        "step 4 (training.patience is 2); to continue, raise it or set "
        "training.patience=null"
    ) in out
    assert "xlmgen eval runs/toy" in out
    before = steps(Run.open("runs/toy"))
    assert main(command) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "already ended at step 8: val/loss has not improved" in out
    assert "continuing" not in out
    made = Run.open("runs/toy")
    assert steps(made) == before
    assert main([*command[:-1], "training.patience=null"]) == 0
    assert "continuing from step 8" in capsys.readouterr().out
    # As if there had never been any patience, rows of metrics.csv included.
    assert_equal(made, run("whole"))


def test_progress_goes_by_the_steps_that_were_asked_for(project, losses, capsys):
    losses(LOSSES)
    command = ["train", "toy.yaml", *COMMON, "training.patience=2"]
    assert main([*command, "training.log_every=4"]) == 0
    assert "step 8/12  loss" in capsys.readouterr().out


def test_a_continued_run_ends_where_the_uninterrupted_one_does(project, losses):
    losses(LOSSES)
    whole = run("whole", "training.patience=3")
    run("parts", "training.patience=3", "training.max_steps=6")
    assert_equal(run("parts", "training.patience=3"), whole)
    assert last(whole)[0] == 10


def test_the_validation_that_was_cut_short_counts(project, losses, monkeypatch):
    losses(LOSSES)
    original = fit_module.generate_answers

    def interrupted(*args, after_batch, **options):
        if checkpoints(Path("a/checkpoints")).keys() & {4}:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, after_batch=after_batch, **options)

    settings = resolve("toy.yaml", [*COMMON, "training.patience=1"])
    monkeypatch.setattr(fit_module, "generate_answers", interrupted)
    assert train(settings, Path("a"), Console(quiet=True)) == 128 + signal.SIGTERM
    monkeypatch.setattr(fit_module, "generate_answers", original)
    made = run("a", "training.patience=1")
    assert last(made)[0] == 6
    assert_equal(made, run("whole", "training.patience=1"))


def test_scores_are_to_rise_and_losses_to_fall(project, monkeypatch):
    """The stand-in's scores and its nll, each made to rise and then to fall."""
    up = {2: 0.1, 4: 0.2, 6: 0.3, 8: 0.2, 10: 0.1, 12: 0.0}
    now = [0]
    real = Harness.validation_metrics

    def chosen(self):
        now[0] = self.trainer.global_step
        return {**real(self), "nll": up[now[0]]}

    monkeypatch.setattr(Harness, "validation_metrics", chosen)
    scores = {"exact_match": 0.5}
    monkeypatch.setattr(
        fit_module, "score", lambda *_: {**scores, "exact_match": up[now[0]]}
    )
    match = run(
        "match", "training.patience=1", "training.patience_metric=val/exact_match"
    )
    assert last(match)[0] == 8
    nll = run("nll", "training.patience=1", "training.patience_metric=val/nll")
    assert last(nll)[0] == 4


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["training.patience_metric=val/exact_mach"],
            "did you mean 'val/exact_match'?",
        ),
        (["training.patience_metric=val/valid_path"], "one of val/loss, val/nll, val/"),
        (["training.patience_metric=loss"], "patience_metric"),
        (
            ["training.patience_metric=val/exact_match", "evaluation.generate=0"],
            "no metric of a validation is named 'val/exact_match'",
        ),
        (["training.patience=0"], "must be ≥ 1"),
    ],
)
def test_a_metric_that_no_validation_has_is_refused(project, capsys, overrides, said):
    assert main(["train", "toy.yaml", *overrides]) == 2
    _, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert not (project / "runs" / "toy").exists()

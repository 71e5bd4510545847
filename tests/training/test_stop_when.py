"""Runs that end because a validation has reached a target."""

import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training import fit as fit_module
from xlmgen.training.harness import Harness
from xlmgen.training.train import train

COMMON = ("training.validate_every=2", "training.log_every=3", "loggers=[]")
LOSSES = {2: 3.0, 4: 2.0, 6: math.nan, 8: 1.0, 10: 0.5, 12: 1.5}
MATCHES = {2: 0.0, 4: 0.5, 6: 0.9, 8: 0.2, 10: 1.0, 12: 1.0}


@pytest.fixture(autouse=True)
def chosen_validations(monkeypatch):
    """Replace what validations find; training itself is unchanged."""
    losses, scorers = Harness.validation_metrics, fit_module.validation_scorer

    def metrics(self):
        return {**losses(self), "loss": LOSSES[self.trainer.global_step]}

    def scorer(parts, limit):
        real = scorers(parts, limit)
        if real is None:
            return None
        return lambda trainer, harness: {
            **real(trainer, harness),
            "exact_match": MATCHES[trainer.global_step],
        }

    monkeypatch.setattr(Harness, "validation_metrics", metrics)
    monkeypatch.setattr(fit_module, "validation_scorer", scorer)


def run(folder, stop_when="{}"):
    overrides = [*COMMON, f"training.stop_when={stop_when}"]
    console = Console(quiet=True)
    assert train(resolve("toy.yaml", overrides), Path(folder), console) == 0
    return Run.open(folder)


def end(made):
    return made.checkpoint("last")[0]


@pytest.mark.parametrize(
    ("stop_when", "step"),
    [
        ("{val/loss: 2.0}", 4),  # equal is enough; a loss has to fall
        ("{val/loss: 1.9}", 8),  # NaN reaches nothing
        ("{val/exact_match: 0.5}", 4),  # a score has to rise
        ("{val/exact_match: 0.8}", 6),
        ("{val/exact_match: 0.8, val/loss: 1.2}", 10),  # both, at one validation
        ("{val/loss: 0.4}", 12),
        ("{}", 12),
    ],
)
def test_run_ends_at_first_validation_that_reaches_every_target(
    project, stop_when, step
):
    assert end(run("a", stop_when)) == step


def test_reason_is_shown_and_another_target_continues(project, capsys):
    command = ["train", "toy.yaml", *COMMON]
    assert main([*command, "training.stop_when={val/exact_match: 0.9}"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "ended at step 6: val/exact_match is 0.9 (training.stop_when is "
        "{val/exact_match: 0.9}); to continue, change it or set training.stop_when={}"
    ) in out
    assert main([*command, "training.stop_when={val/exact_match: 0.9}"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "already ended at step 6: val/exact_match is 0.9" in out
    assert main([*command, "training.stop_when={val/exact_match: 0.95}"]) == 0
    assert end(Run.open("runs/toy")) == 10
    assert main(command) == 0
    continued, intact = Run.open("runs/toy"), run("intact")
    (_, ours), (_, expected) = continued.checkpoint("last"), intact.checkpoint("last")
    ours, expected = (
        load_file(folder / "model.safetensors") for folder in (ours, expected)
    )
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    assert read_rows(continued.path / "metrics.csv") == read_rows(
        intact.path / "metrics.csv"
    )


@pytest.mark.parametrize(
    ("stop_when", "message"),
    [
        ("{val/exact_mach: 1}", "did you mean 'val/exact_match'?"),
        ("{train/loss: 1}", "train/loss"),
        ("{val/loss: low}", "not a number"),
        ("0.99", "training.stop_when"),
    ],
)
def test_wrong_target_is_rejected_before_training(project, capsys, stop_when, message):
    assert main(["train", "toy.yaml", f"training.stop_when={stop_when}"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message in error
    assert not Path("runs/toy").exists()


def test_score_is_rejected_where_validations_answer_nothing(project, capsys):
    overrides = ["training.stop_when={val/exact_match: 1}", "evaluation.generate=0"]
    assert main(["train", "toy.yaml", *overrides]) == 2
    error = capsys.readouterr().err
    assert "no metric of a validation is named 'val/exact_match'" in error

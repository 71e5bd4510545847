"""A run that was stopped, in whatever way, equals the one that was not."""

import os
import signal
import subprocess
import sys
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
from xlmgen.training.train import train

PROGRAM = "import sys; from xlmgen.cli import main; sys.exit(main())"


def run(folder, *overrides):
    code = train(resolve("toy.yaml", overrides), Path(folder), Console(quiet=True))
    return code, Run.open(folder)


def weights(run, which="last"):
    return load_file(run.checkpoint(which)[1] / "model.safetensors")


def assert_equal_runs(one, other):
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    assert read_rows(one.path / "metrics.csv") == read_rows(other.path / "metrics.csv")
    assert one.checkpoint("best")[0] == other.checkpoint("best")[0]


@pytest.mark.parametrize(
    "extra",
    [[], ["training.accumulate=3"], ["training.optimizer.kind=muon"]],
    ids=["plain", "accumulated", "muon"],
)
def test_a_continued_run_equals_an_uninterrupted_one(project, extra):
    _, whole = run("whole", *extra)
    run("parts", "training.max_steps=6", *extra)
    _, parts = run("parts", *extra)
    assert_equal_runs(whole, parts)
    steps = [int(row["step"]) for row in read_rows(parts.path / "metrics.csv")]
    assert steps == [3, 6, 9, 12]


def test_validation_changes_nothing_in_training(project):
    _, often = run("often", "training.validate_every=2")
    _, seldom = run("seldom", "training.validate_every=12", "evaluation.generate=0")
    ours, theirs = weights(often), weights(seldom)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_seed_gives_the_same_losses_and_another_seed_others(project):
    losses = []
    for folder, seed in (("a", 5), ("b", 5), ("c", 6)):
        _, made = run(folder, f"training.seed={seed}")
        rows = read_rows(made.path / "metrics.csv")
        losses.append([row["train/loss"] for row in rows])
    assert losses[0] == losses[1]
    assert all(a != c for a, c in zip(losses[0], losses[2], strict=True))


def test_workers_change_nothing(project):
    _, alone = run("alone")
    _, helped = run("helped", "training.num_workers=2")
    assert_equal_runs(alone, helped)


def test_an_interrupt_during_validation_is_made_up_for(project, monkeypatch):
    """The validation that was cut short comes first when the run continues."""
    _, whole = run("whole")
    original = fit_module.generate_answers

    def interrupted(*args, after_batch, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        after_batch(1)
        raise AssertionError("the validation was not left")

    monkeypatch.setattr(fit_module, "generate_answers", interrupted)
    code, stopped = run("parts")
    assert code == 128 + signal.SIGTERM
    assert stopped.checkpoint("last")[0] == 6
    monkeypatch.setattr(fit_module, "generate_answers", original)
    code, parts = run("parts")
    assert code == 0
    assert_equal_runs(whole, parts)


def start(folder, *overrides):
    """`xlmgen train` in a process of its own, to be stopped."""
    return subprocess.Popen(
        [
            *(sys.executable, "-u", "-c", PROGRAM, "train", "toy.yaml"),
            *("--run-dir", folder, "training.max_steps=100000", "training.log_every=1"),
            *overrides,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    raise AssertionError("".join(lines))


def test_ctrl_c_saves_a_checkpoint_and_says_how_to_continue(project):
    process = start("parts")
    wait_for(process, "step 7/")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "Traceback" not in rest
    stopped, _ = Run.open("parts").checkpoint("last")
    assert f"stopped at step {stopped}" in rest
    assert "continues" in rest

    goal = [f"training.max_steps={stopped + 3}", "training.log_every=1"]
    _, parts = run("parts", *goal)
    _, whole = run("whole", *goal)
    assert_equal_runs(whole, parts)


def test_a_killed_run_continues_from_its_last_checkpoint(project):
    process = start("parts")
    wait_for(process, "step 10/")
    process.kill()
    process.communicate(timeout=60)
    last, _ = Run.open("parts").checkpoint("last")
    assert last >= 8

    goal = [f"training.max_steps={last + 5}", "training.log_every=1"]
    _, parts = run("parts", *goal)
    _, whole = run("whole", *goal)
    assert_equal_runs(whole, parts)
    assert not list((parts.path / "checkpoints").glob(".*"))


def test_a_finished_run_is_left_as_it_is(project, capsys):
    run("a")
    before = weights(Run.open("a"))
    assert main(["train", "toy.yaml", "--run-dir", "a"]) == 0
    assert "raise training.max_steps" in capsys.readouterr().out
    after = weights(Run.open("a"))
    assert all(torch.equal(before[name], after[name]) for name in before)

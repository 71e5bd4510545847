"""The learning rate: each schedule's formula, and what the optimiser really had."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from rich.console import Console
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.runs.checkpoint_folder import checkpoints
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training import trainer as trainer_module
from xlmgen.training.schedule import (
    change_after,
    cooldown_start,
    learning_rate_factor,
)
from xlmgen.training.train import train

WARMUP, STEPS, LEAST = 10, 110, 0.1
FORMULAS = {  # of step 1, 2, … after a warm-up of 10 of 110 steps
    "constant": lambda step: 1.0,
    "linear": lambda step: 1 - 0.9 * (step - 11) / 100,
    "cosine": lambda step: 0.1 + 0.9 * math.cos(math.pi * (step - 11) / 200) ** 2,
    "inverse_sqrt": lambda step: max(0.1, step**-0.5 / 10**-0.5),
    "wsd": lambda step: 1.0 if step <= 77 else 1 - 0.9 * ((step - 78) / 33) ** 0.5,
}


@pytest.fixture
def settings(project):
    training = resolve("toy.yaml").training
    return replace(
        training, warmup_steps=WARMUP, max_steps=STEPS, min_lr_ratio=LEAST, cooldown=0.3
    )


@pytest.mark.parametrize("schedule", FORMULAS)
def test_every_schedule_is_its_formula(settings, schedule):
    factor = learning_rate_factor(replace(settings, schedule=schedule))
    for step in range(1, STEPS + 1):
        expected = step / 10 if step <= 10 else FORMULAS[schedule](step)
        assert factor(step - 1) == pytest.approx(expected, rel=1e-12), step


@pytest.mark.parametrize("schedule", FORMULAS)
def test_what_falls_ends_at_the_floor_and_stays_there(settings, schedule):
    factor = learning_rate_factor(replace(settings, schedule=schedule))
    end = 1.0 if schedule == "constant" else LEAST
    assert factor(100_000) == pytest.approx(end)
    if schedule != "inverse_sqrt":  # which knows no end
        assert factor(STEPS) == pytest.approx(end)


@pytest.mark.parametrize("schedule", FORMULAS)
def test_no_warm_up_and_one_longer_than_the_run(settings, schedule):
    at_once = replace(settings, schedule=schedule, warmup_steps=0)
    assert learning_rate_factor(at_once)(0) == 1.0
    suppress_tokens = replace(settings, schedule=schedule, warmup_steps=1000)
    assert learning_rate_factor(suppress_tokens)(STEPS - 1) == STEPS / 1000


def test_a_cooldown_begins_after_the_warm_up(settings):
    assert cooldown_start(settings) == 77
    assert cooldown_start(replace(settings, warmup_steps=90)) == 90
    assert cooldown_start(replace(settings, cooldown=1.0, warmup_steps=0)) == 0


class Rates(Callback):
    """What the optimiser has when it steps."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.seen.append({group["lr"] for group in optimizer.param_groups})


@pytest.fixture
def rates(monkeypatch):
    """The learning rates of every step of runs that are trained from now on."""
    spy = Rates()
    real = trainer_module.Trainer

    def spied(*args, callbacks, **options):
        return real(*args, callbacks=[spy, *callbacks], **options)

    monkeypatch.setattr(trainer_module, "Trainer", spied)
    return spy.seen


def run(folder, *overrides):
    console = Console(quiet=True)
    assert train(resolve("toy.yaml", overrides), Path(folder), console) == 0
    return Run.open(folder)


def logged(made):
    rows = read_rows(made.path / "metrics.csv")
    return [float(row["train/lr"]) for row in rows if "train/lr" in row]


def test_the_optimiser_had_the_rate_of_the_schedule_also_where_max_steps_was_raised(
    project, rates
):
    """A continued run follows the new end from its first step on, and logs what was."""
    common = ["training.schedule=linear", "training.log_every=1", "loggers=[]"]
    short = run("a", *common, "training.max_steps=4")
    expected = [0.005, 0.01, 0.01, 0.005]  # two steps of warm-up, then 1 and 1/2
    assert [rate for (rate,) in rates] == pytest.approx(expected)
    assert logged(short) == pytest.approx(expected)
    long = run("a", *common, "training.max_steps=8")
    expected += [0.01 * (1 - part / 6) for part in (2, 3, 4, 5)]
    assert [rate for (rate,) in rates] == pytest.approx(expected)
    assert logged(long) == pytest.approx(expected)


def test_a_note_says_what_raising_max_steps_does(project, capsys):
    command = ["train", "toy.yaml", "training.schedule=cosine", "loggers=[]"]
    main([*command, "training.max_steps=4"])
    capsys.readouterr()
    main([*command, "training.max_steps=6"])
    said = " ".join(capsys.readouterr().out.split())
    assert "max_steps was 4 and is 6" in said
    assert "now ends at step 6, and the learning rate of step 5 is 0.005 inst" in said
    assert "instead of 0 " in said
    main([*command, "training.max_steps=6"])
    assert "note" not in capsys.readouterr().out


@pytest.mark.parametrize("schedule", FORMULAS)
def test_there_is_nothing_to_say_before_a_schedule_falls(settings, schedule):
    """And never of one that knows no end."""
    now = replace(settings, schedule=schedule)
    longer = replace(now, max_steps=2 * STEPS)
    said = {step: change_after(step, now, longer) for step in (5, 70, 90, STEPS)}
    jumps = [step for step, text in said.items() if text is not None]
    falling = {"linear": [70, 90, STEPS], "cosine": [70, 90, STEPS], "wsd": [90, STEPS]}
    assert jumps == falling.get(schedule, [])


def test_a_cooldown_is_redone_from_the_checkpoint_before_it(project):
    """As docs/training.md says: then the run is what a longer one would have been."""
    common = ["training.schedule=wsd", "training.cooldown=0.5", "loggers=[]"]
    whole = run("whole", *common, "training.max_steps=16")
    short = run("short", *common, "training.max_steps=8", "training.checkpoint_every=3")
    assert 4 in checkpoints(short.checkpoints)  # beside the best and the last
    shutil.copytree("short", "longer")
    for folder in Path("longer/checkpoints").iterdir():
        if folder.name not in ("step=000004",):
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    longer = run("longer", *common, "training.max_steps=16")
    ours, theirs = (
        load_file(made.checkpoint("last")[1] / "model.safetensors")
        for made in (longer, whole)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert read_rows(longer.path / "metrics.csv") == read_rows(
        whole.path / "metrics.csv"
    )

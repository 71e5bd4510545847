"""The bar of a training: loss and speed from the first steps, and where it ends."""

import io
import signal
from pathlib import Path

import pytest
import torch
from rich.console import Console

from xlmgen.experiment import resolve
from xlmgen.training import progress
from xlmgen.training.train import train

SETTINGS = ["training.log_every=100", "evaluation.generate=0"]


def lines(out):
    """Lines as they stay in the terminal: the last of those drawn over another."""
    return [line.split("\r")[-1] for line in out.getvalue().splitlines()]


@pytest.fixture
def bar(project, monkeypatch):
    """Train in a terminal of 80 columns and return the exit code and the output."""

    def run(*overrides):
        monkeypatch.setattr(progress, "REFRESH", 0.0)
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=80, color_system=None)
        settings = resolve("toy.yaml", [*SETTINGS, *overrides])
        return train(settings, Path("a"), console), out

    return run


def test_bar_shows_loss_and_speed_before_the_first_row(bar, monkeypatch):
    states = []
    update = progress.Progress.update

    def record(self, task, **fields):
        states.append((self.tasks[0].completed, fields.get("state")))
        update(self, task, **fields)

    monkeypatch.setattr(progress.Progress, "update", record)
    code, out = bar("training.validate_every=12")
    assert code == 0
    first = next((step, state) for step, state in states if state)
    assert first[0] == 1
    assert "loss" in first[1]
    assert "it/s" in first[1]
    assert "left" in first[1]
    assert any(state == "validating" for _, state in states)
    assert "12/12 loss" in out.getvalue()


def test_bar_is_above_the_message_of_an_interrupt(bar, monkeypatch):
    from xlmgen.training.harness import Harness

    step = Harness.training_step

    def interrupted(self, batch, index):
        if index == 4:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, index)

    monkeypatch.setattr(Harness, "training_step", interrupted)
    code, out = bar("training.validate_every=12")
    assert code == 130
    shown = lines(out)
    (stopped,) = [n for n, line in enumerate(shown) if "stopped at" in line]
    bars = [n for n, line in enumerate(shown) if "/12" in line]
    assert bars[-1] < stopped
    assert "5/12" in shown[bars[-1]]


def test_host_copy_has_the_value():
    copy = progress.HostCopy(torch.tensor(1.5, requires_grad=True))
    assert copy.is_ready()
    assert copy.value() == 1.5

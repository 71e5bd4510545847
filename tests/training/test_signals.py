"""A request to stop, at any moment of a run: what is saved, what is said, what goes on.

Every run that was stopped is continued, and must equal the one that was not.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.data.datamodule import DataModule
from xlmgen.data.workers import leave_signals_to_the_parent
from xlmgen.io.manifest import HashedFile
from xlmgen.runs.checkpoint import FolderCheckpoint
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training.harness import Harness

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def train(folder, *overrides):
    return main(["train", "toy.yaml", "--run-dir", folder, *overrides])


@pytest.fixture
def interrupt(monkeypatch, capsys):
    """Send signals when a method is called for the n-th time, and train until then."""

    def run(owner, name, call, *overrides, signals=(signal.SIGTERM,), folder="parts"):
        original, calls = getattr(owner, name), []

        def method(*args, **options):
            calls.append(name)
            if len(calls) == call:
                for signum in signals:
                    os.kill(os.getpid(), signum)
            return original(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, method)
            code = train(folder, *overrides)
        assert len(calls) >= call
        out, err = capsys.readouterr()
        assert not err
        return code, out

    return run


def assert_equal_runs(one, other):
    runs = Run.open(one), Run.open(other)
    paths = [run.checkpoint("last")[1] for run in runs]
    ours, theirs = (load_file(path / "model.safetensors") for path in paths)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    rows = [read_rows(run.path / "metrics.csv") for run in runs]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("owner", "name", "call", "more", "step"),
    [
        (Harness, "training_step", 1, [], 1),  # in the first step
        (Harness, "training_step", 5, ["training.accumulate=3"], 2),  # half a step
        (HashedFile, "write", 3, [], 4),  # while a checkpoint is written
        (FolderCheckpoint, "remove_checkpoint", 1, [], 6),  # while one is removed
        (Harness, "validation_step", 2, [], 6),  # within a validation
    ],
)
def test_the_step_is_ended_and_saved(
    project, interrupt, capsys, owner, name, call, more, step
):
    code, out = interrupt(owner, name, call, *more)
    assert code == 128 + signal.SIGTERM
    assert f"stopped at step {step} and saved; the same command continues" in out
    assert Run.open("parts").resume_point().step == step
    assert not list((project / "parts" / "checkpoints").glob(".*"))
    assert train("parts", *more) == 0
    assert f"continuing from step {step}" in capsys.readouterr().out
    assert train("whole", *more) == 0
    assert_equal_runs("parts", "whole")


@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize(
    ("owner", "name"), [(Run, "load_family"), (DataModule, "prepare_data")]
)
def test_before_the_first_step_there_is_nothing_to_save(
    project, interrupt, owner, name, signum
):
    code, out = interrupt(owner, name, 1, signals=[signum])
    assert code == 128 + signum
    assert "before there was anything to save; run the same command again" in out
    assert "step 1/" not in out
    assert Run.open("parts").resume_point().step == 0
    assert train("parts", "training.max_steps=2") == 0
    code, out = interrupt(owner, name, 1, signals=[signum])
    assert code == 128 + signum
    assert "the same command continues from step 2" in out


@pytest.mark.parametrize("signum", SIGNALS)
def test_every_signal_says_that_it_was_heard(project, interrupt, signum):
    code, out = interrupt(Harness, "training_step", 3, signals=[signum])
    assert code == 128 + signum
    assert "stopped at step 3 and saved" in out


def test_a_second_ctrl_c_does_not_wait(project, interrupt):
    twice = [signal.SIGINT, signal.SIGINT]
    code, out = interrupt(Harness, "training_step", 6, signals=twice)
    assert code == 130
    assert "the same command continues from step 4" in out


def test_the_handlers_are_put_back(project, interrupt):
    before = [signal.getsignal(signum) for signum in SIGNALS]
    train("a", "training.max_steps=1")
    interrupt(Harness, "training_step", 2)
    interrupt(DataModule, "prepare_data", 1, folder="b")
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


@pytest.mark.slow
def test_workers_go_on_until_the_step_has_ended(project):
    """Terminals and schedulers send their signals to all processes of a run."""
    signum = signal.SIGTERM
    program = "import sys; from xlmgen.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [
            *(sys.executable, "-u", "-c", program, "train", "toy.yaml"),
            *("--run-dir", "parts", "training.max_steps=1000000"),
            *("training.log_every=1", "training.num_workers=2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = iter(process.stdout.readline, "")
    assert any("step 2/" in line for line in lines)
    os.killpg(process.pid, signum)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signum, rest
    assert "and saved; the same command continues" in rest
    assert "Traceback" not in rest
    until = time.monotonic() + 10
    while anyone_in(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not anyone_in(process.pid)


def test_a_worker_obeys_nobody_but_the_process_that_trains():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=work, args=(ready,), daemon=True)
    worker.start()
    assert ready.wait(30)
    for signum in SIGNALS:
        subprocess.run(["kill", f"-{int(signum)}", str(worker.pid)], check=True)
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0


def work(ready):
    leave_signals_to_the_parent(0)
    ready.set()
    time.sleep(60)


def anyone_in(session):
    """Whether any process of a session is left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True

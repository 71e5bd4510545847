"""One process at a time trains a run, and a lock ends with the process that has it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.runs.run import Run

pytest.importorskip("fcntl", reason="there are no locks on this system")

TRAINING = """\
import os, sys, time
from pathlib import Path

from xlmgen.training.train import alone

with alone(Path("runs/toy")):
    if sys.argv[1] == "fork" and os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    if sys.argv[1] == "wait":
        print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another(project):
    """Starts a process that is at runs/toy, and gives the number that it prints."""
    processes = []

    def start(what):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", TRAINING, what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in processes:
        process.kill()
        with process:  # closes its pipes
            process.wait()


def test_a_run_that_is_being_trained_is_left_alone(another, capsys):
    process, number = another("wait")
    assert main(["train", "toy.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: runs/toy: process {number} on ")
    assert "--run-dir" in said
    assert not Path("runs/toy").exists()
    assert main(["train", "toy.yaml", "--run-dir", "runs/other"]) == 0

    process.stdin.close()
    process.wait()
    assert main(["train", "toy.yaml"]) == 0
    assert sorted(os.listdir("runs")) == ["other", "toy"]


def test_what_a_killed_process_leaves_running_does_not_hold_the_run(another):
    process, worker = another("fork")
    process.kill()
    process.wait()
    try:
        os.kill(worker, 0)  # it is there
        assert main(["train", "toy.yaml", "training.max_steps=2"]) == 0
    finally:
        os.kill(worker, 9)
    assert Run.open("runs/toy").has_begun


def test_a_run_that_could_not_begin_leaves_no_folders(project, capsys):
    command = ["train", "toy.yaml", "--run-dir", "a/b/c", "model.num_heads=3"]
    assert main(command) == 2
    assert not Path("a").exists()

"""Runs of a sweep as jobs: submitted, stopped at a time limit and continued."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xlmgen.errors import UserError
from xlmgen.sweeps.submission import RunOfSweep, job_settings, submit

SWEEP = """\
spec: xlmgen/sweep/v1
experiments: [toy.yaml]
settings: {training.max_steps: 4}
seeds: [0, 1]
"""


@pytest.fixture
def sweep(project):
    pytest.importorskip("submitit")
    Path("grid.yaml").write_text(SWEEP, "utf-8")
    return Path("grid.yaml")


def wait_for(found, seconds=120):
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
def test_every_submitted_run_is_trained_and_evaluated(sweep):
    command = [sys.executable, "-m", "xlmgen", "sweep", "grid.yaml"]
    command += ["--submit", "local", "--job", "timeout_min=5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 of 2 runs submitted" in done.stdout
    wait_for(lambda: len(list(Path("runs/grid").glob("*/results/test.json"))) == 2)
    for result in Path("runs/grid").glob("*/results/test.json"):
        assert json.loads(result.read_text("utf-8"))["step"] == 4
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "0 of 2 runs submitted" in again.stdout


@pytest.mark.slow
def test_job_at_its_time_limit_saves_and_the_next_one_continues(sweep):
    sweep.write_text(SWEEP.replace("max_steps: 4", "max_steps: 100000"), "utf-8")

    def output():
        return "".join(p.read_text("utf-8") for p in Path("runs/grid").glob("*.log"))

    def run(job, until):
        """Run a job and send a signal to it, as submitit does before the limit."""
        found = []

        def handler(signum, frame):
            found.append(job.checkpoint())
            raise KeyboardInterrupt

        def wait():
            wait_for(until)
            os.kill(os.getpid(), signal.SIGUSR2)

        earlier = signal.signal(signal.SIGUSR2, handler)
        thread = threading.Thread(target=wait)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                job()
        finally:
            signal.signal(signal.SIGUSR2, earlier)
            thread.join()
        job._process.wait()
        return found[0].function

    again = run(RunOfSweep(sweep, 0), lambda: any(Path("runs").rglob("throughput.csv")))
    assert "continuing from step" not in output()
    run(again, lambda: "continuing from step" in output())
    assert output().count(" train ") == 2


def test_unknown_setting_of_a_job_is_refused_with_the_known_ones(sweep):
    with pytest.raises(UserError, match="timeout_min"):
        submit(sweep, [0], Path("jobs"), "local", job_settings(["timeout=5"]))


def test_missing_cluster_is_one_message(sweep, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="--submit slurm"):
        submit(sweep, [0], Path("jobs"), "slurm", {})


def test_missing_package_names_the_extra(project, monkeypatch):
    monkeypatch.setattr("xlmgen.sweeps.submission.find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        submit(Path("grid.yaml"), [0], Path("jobs"), "slurm", {})
    assert "xlmgen[cluster]" in str(caught.value)

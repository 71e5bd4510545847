"""`xlmgen sweep`: trains, evaluates, skips, continues, and goes on after a failure."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.runs.run import METRICS

SWEEP = """\
spec: xlmgen/sweep/v1
experiments: [toy.yaml]
settings: {training.max_steps: 4}
seeds: [0, 1]
"""
LONG = SWEEP.replace("max_steps: 4", "max_steps: 100000, training.checkpoint_every: 2")


def said(capsys, *arguments):
    code = main(["sweep", "grid.yaml", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def runs():
    return sorted(path for path in Path("runs/grid").iterdir() if path.is_dir())


def files():
    return {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.*")}


@pytest.mark.slow
def test_runs_are_trained_and_evaluated_and_skipped_the_second_time(project, capsys):
    Path("grid.yaml").write_text(SWEEP)
    code, out, _ = said(capsys, "--parallel", "2")
    assert code == 0, out
    assert "xlmgen compare runs/grid/*/" in out
    assert "xlmgen report grid.yaml" in out
    assert len(runs()) == 2
    for run in runs():
        assert json.loads((run / "results/test.json").read_text())["step"] == 4
    before = files()
    assert said(capsys)[0] == 0
    assert files() == before
    assert main(["compare", *map(str, runs())]) == 0


@pytest.mark.slow
def test_run_that_ended_early_is_not_trained_again_unless_settings_change(
    project, capsys
):
    early = SWEEP.replace("[0, 1]", "[0]").replace(
        "max_steps: 4}", 'max_steps: 9, training.stop_when: {"val/loss": 100}}'
    )
    Path("grid.yaml").write_text(early)
    assert said(capsys)[0] == 0
    (run,) = runs()
    assert json.loads((run / "results/test.json").read_text())["step"] < 9
    before = files()
    assert said(capsys)[0] == 0
    assert files() == before
    Path("grid.yaml").write_text(early.replace('{"val/loss": 100}', "{}"))
    assert said(capsys)[0] == 0
    assert (run / "checkpoints" / "step=000009").is_dir()


@pytest.mark.slow
def test_failed_run_does_not_end_the_others_and_has_its_reason(project, capsys):
    Path("grid.yaml").write_text(SWEEP)
    _, out, _ = said(capsys, "--dry-run")
    first = Path(out.split()[1])
    first.mkdir(parents=True)
    (first / "mine.txt").write_text("mine")
    code, out, _ = said(capsys)
    assert code == 1
    assert f"{first.name} failed: " in out
    assert "is not a run folder" in out
    assert (first / "mine.txt").read_text() == "mine"
    (other,) = (run for run in runs() if run != first)
    assert (other / "results/test.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_sweep_continues(project, capsys, signum):
    if signum is signal.SIGKILL and sys.platform != "linux":
        pytest.skip("runs of a killed sweep go on")
    Path("grid.yaml").write_text(LONG)
    command = [sys.executable, "-m", "xlmgen", "sweep", "grid.yaml"]
    sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    metrics = None
    end = time.monotonic() + 300
    while not (metrics and metrics.is_file()) and time.monotonic() < end:
        time.sleep(0.1)
        metrics = next(Path("runs").glob(f"grid/*/{METRICS}"), None)
    sweep.send_signal(signum)
    assert sweep.wait(timeout=300) in (130, -signal.SIGKILL)
    Path("grid.yaml").write_text(SWEEP.replace("[0, 1]", "[0]"))
    code, out, _ = said(capsys)
    assert code == 0, out
    (run,) = runs()
    log = run.with_name(f"{run.name}.log").read_text()
    assert "and saved; the same command continues" in log
    assert json.loads((run / "results/test.json").read_text())["step"] >= 4


def test_dry_run_lists_commands_and_trains_nothing(project, capsys):
    Path("grid.yaml").write_text(SWEEP)
    code, out, _ = said(capsys, "--dry-run")
    lines = out.splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines if "to do" in line] == ["0", "1"]
    assert "training.seed=1" in lines[4]
    assert lines[5].split()[:2] == ["xlmgen", "eval"]
    assert not os.path.exists("runs")


def test_dry_run_of_one_run(project, capsys):
    Path("grid.yaml").write_text(SWEEP)
    _, out, _ = said(capsys, "--dry-run", "--only", "1")
    assert "seed1" in out
    assert "seed0" not in out


def test_number_of_a_run_that_does_not_exist_is_refused(project, capsys):
    Path("grid.yaml").write_text(SWEEP)
    code, _, err = said(capsys, "--only", "2")
    assert code == 2
    assert "--only 2: the sweep has 2 runs; numbers are 0 to 1" in err


def test_sweep_is_checked_by_check(project, capsys):
    Path("grid.yaml").write_text(SWEEP.replace("seeds", "seed"))
    assert main(["check", "grid.yaml"]) == 1
    assert "did you mean 'seeds'?" in capsys.readouterr().out

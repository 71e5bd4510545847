"""wandb and trackio: what they are told, through stand-ins and the real packages."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.runs.metrics import read_rows
from xlmgen.training import train as train_module

STANDIN = """\
calls = []

class Table:
    def __init__(self, columns, data):
        self.columns, self.data = columns, data

class Run:
    def log(self, data, step=None):
        calls.append(("log", step, data))
    def finish(self):
        calls.append(("finish",))

def init(**options):
    calls.append(("init", options))
    return Run()
"""
BROKEN = "def init(**options):\n    raise RuntimeError('no\\n  account')\n"


@pytest.fixture
def standin(project, monkeypatch):
    """Put a stand-in in the place of a package; gives its record of calls."""

    def place(name, text=STANDIN):
        (project / "packages").mkdir(exist_ok=True)
        (project / "packages" / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(project / "packages")
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROJECT", raising=False)
        return lambda: sys.modules[name].calls

    yield place
    for name in ("wandb", "trackio"):
        sys.modules.pop(name, None)


def numbers(run, name="metrics.csv"):
    """Step, metric and value of every cell of a file."""
    return {
        (int(row["step"]), metric): float(value)
        for row in read_rows(run / name)
        for metric, value in row.items()
        if metric != "step"
    }


@pytest.mark.parametrize("package", ["wandb", "trackio"])
def test_a_tracker_gets_the_numbers_of_the_files_and_keeps_its_run(
    project, standin, package, monkeypatch
):
    calls = standin(package)
    command = ["train", "toy.yaml", f"loggers=[{package}]"]
    assert main([*command, "training.max_steps=6"]) == 0
    monkeypatch.setenv(f"{package.upper()}_PROJECT", "mine")
    assert main(command) == 0
    begun = [call[1] for call in calls() if call[0] == "init"]
    assert [call[0] for call in calls()].count("finish") == 2
    assert calls()[-1] == ("finish",)
    run = project / "runs" / "toy"
    run_id = json.loads((run / "tracker.json").read_text(encoding="utf-8"))["id"]
    assert [options["project"] for options in begun] == ["xlmgen", "mine"]
    for options, steps in zip(begun, (6, 12), strict=True):
        resolved = resolve("toy.yaml", [command[2], f"training.max_steps={steps}"])
        assert options["config"] == resolved.data
        assert options["resume"] == "allow"
        if package == "wandb":
            assert (options["id"], options["name"]) == (run_id, "toy")
            assert options["dir"] == "runs/toy"
        else:
            assert options["name"] == f"toy-{run_id}"
    told = {
        (step, name): value
        for kind, step, data in (c for c in calls() if c[0] == "log")
        for name, value in data.items()
        if name != "val/samples"
    }
    assert told == pytest.approx({**numbers(run), **numbers(run, "throughput.csv")})


def test_wandb_gets_answers_as_a_table(project, standin):
    calls = standin("wandb")
    assert main(["train", "toy.yaml", "loggers=[wandb]", "training.max_steps=6"]) == 0
    logged = [(c[1], c[2]) for c in calls() if c[0] == "log" and "val/samples" in c[2]]
    (step, data) = logged[-1]
    table = data["val/samples"]
    assert step == 6
    assert table.columns == ["prompt", "prediction", "target", "correct"]
    assert len(table.data) == 4
    assert table.data[0][2]


def test_two_run_folders_are_two_runs(project, standin):
    calls = standin("wandb")
    for folder in ("a", "b"):
        command = ["train", "toy.yaml", "loggers=[wandb]", "training.max_steps=1"]
        assert main([*command, "--run-dir", folder]) == 0
    ids = [call[1]["id"] for call in calls() if call[0] == "init"]
    assert len(set(ids)) == 2


def test_a_missing_package_is_an_error_before_anything_begins(
    project, monkeypatch, capsys
):
    monkeypatch.setattr(train_module, "find_spec", lambda name: None)
    assert main(["train", "toy.yaml", "loggers=[tensorboard,trackio]"]) == 2
    _, err = capsys.readouterr()
    assert "the package trackio is not installed" in err
    assert "pip install 'xlmgen[trackio]'" in err
    assert not (project / "runs").exists()


def test_tracker_that_cannot_start_is_an_error_with_a_fix(project, standin, capsys):
    standin("wandb", BROKEN)
    assert main(["train", "toy.yaml", "loggers=[wandb]"]) == 2
    out, err = capsys.readouterr()
    assert "wandb could not start: no account; fix this, leave wandb out of" in err
    assert "WANDB_MODE=offline" in err
    assert "Traceback" not in out + err
    assert main(["train", "toy.yaml", "loggers=[]"]) == 0  # as it says


def test_a_misspelt_logger(project, capsys):
    assert main(["train", "toy.yaml", "loggers=[wandbs]"]) == 2
    assert "did you mean 'wandb'?" in capsys.readouterr().err


TWICE = """\
import sys
from xlmgen.cli import main
command = ["train", "toy.yaml", f"loggers=[{sys.argv[1]}]", "training.log_every=1"]
sys.exit(any(main([*command, f"training.max_steps={steps}"]) for steps in (2, 4)))
"""


def trained(package, **environment):
    """Two steps and then two more with the real package, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", TWICE, package],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_real_wandb_takes_it_offline(project):
    pytest.importorskip("wandb")
    trained("wandb", WANDB_MODE="offline", WANDB_SILENT="true")
    run = project / "runs" / "toy"
    run_id = json.loads((run / "tracker.json").read_text(encoding="utf-8"))["id"]
    written = sorted(run.glob(f"wandb/offline-run-*/run-{run_id}.wandb"))
    assert len(written) == 2
    for file in written:
        assert b"train/grad_norm" in file.read_bytes()


@pytest.mark.slow
def test_the_real_trackio_goes_on_with_its_run(project):
    pytest.importorskip("trackio")
    trained("trackio", TRACKIO_DIR=str(project / "trackio"))
    with sqlite3.connect(project / "trackio" / "xlmgen.db") as database:
        rows = database.execute("select run_name, step, metrics from metrics")
        found = [(name, step) for name, step, text in rows if b"train/loss" in text]
    assert sorted(step for _, step in found) == [1, 2, 3, 4]
    assert len({name for name, _ in found}) == 1

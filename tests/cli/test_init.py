"""`xlmgen init`: a working project, without overwriting files."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xlmgen import __version__, resources
from xlmgen.cli import main
from xlmgen.render import render
from xlmgen.render.starters import starters
from xlmgen.spec.family import read_family

SHORT = ("max_steps=2", "batch_size=4", "warmup_steps=0", "accelerator=cpu")
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def listed(out):
    rows = [line.split() for line in out.partition("\nnext:")[0].splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def next_steps(out):
    return [line.strip() for line in out.partition("\nnext:\n")[2].splitlines()]


def test_init_writes_starters_and_render(here, capsys):
    assert main(["init", "lab", "--name", "ours"]) == 0
    assert files(here / "lab") == {p: t.encode() for p, t in starters("ours").items()}
    folder = here / "lab" / "families" / "ours"
    rendered = render(read_family(folder / "family.yaml"))
    assert files(folder) == {path: text.encode() for path, text in rendered.items()}
    out = capsys.readouterr().out
    assert set(listed(out)) == set(starters("ours"))
    assert "34 of 34 files written to lab" in out
    assert not [path for path in here.iterdir() if path.name != "lab"]


@pytest.mark.slow
@pytest.mark.parametrize("where", [(), ("a folder/of mine",)], ids=["here", "there"])
def test_printed_next_steps_work(here, capfd, monkeypatch, where):
    monkeypatch.setenv("XLMGEN_PINNED", "")
    assert main(["init", *where]) == 0
    steps = next_steps(capfd.readouterr().out)
    change = [f"cd {shlex.quote(folder)}" for folder in where]
    assert steps[:-3] == change
    for folder in where:
        monkeypatch.chdir(shlex.split(change[0])[1])
        assert folder in os.getcwd()
    check, tests, train = map(shlex.split, steps[-3:])
    assert main(check[1:]) == 0
    assert "9 files checked: no problems" in capfd.readouterr().out
    if not where:
        command = [sys.executable, "-m", *tests, "-q", "-p", "no:cacheprovider"]
        subprocess.run(command, check=True)
        short = [f"training.{setting}" for setting in SHORT]
        assert train[1] == "train"
        assert main([*train[1:], *short, "evaluation.generate=2"]) == 0
        assert Path("runs/mine-graphs-tiny/metrics.csv").is_file()
        assert main(check[1:]) == 0  # what a run wrote is no part of the project


def test_dry_run_lists_files_and_writes_nothing(here, capsys):
    assert main(["init", "lab", "--dry-run"]) == 0
    promised = capsys.readouterr().out
    assert list(here.iterdir()) == []
    assert main(["init", "lab"]) == 0
    written = capsys.readouterr().out
    assert listed(promised) == listed(written)
    assert "34 of 34 files would be written to lab" in promised


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_existing_files_are_named_and_nothing_is_written(here, capsys, option):
    Path("tasks").mkdir()
    Path("tasks/graphs.yaml").write_text("mine\n")
    Path("README.md").write_text(starters("mine")["README.md"])  # even the same text
    Path("schemas").mkdir()
    Path("schemas/task.schema.json").write_text("{}")
    before = sorted(here.rglob("*"))
    assert main(["init", *option]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: nothing was written, because this exists: ")
    named = error.partition("exists: ")[2].partition(";")[0].split(", ")
    assert sorted(named) == [
        "README.md",
        "schemas/task.schema.json",
        "tasks/graphs.yaml",
    ]
    assert sorted(here.rglob("*")) == before
    assert Path("tasks/graphs.yaml").read_text() == "mine\n"


def test_second_init_is_refused(here, capsys):
    main(["init"])
    before = files(here)
    assert main(["init", "--name", "other"]) == 1
    assert "README.md, .gitignore" in capsys.readouterr().err
    assert files(here) == before


def test_files_of_other_names_are_kept(here):
    Path("notes.txt").write_text("mine\n")
    Path("families/other").mkdir(parents=True)
    assert main(["init"]) == 0
    assert Path("notes.txt").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Mine", "--name: 'Mine' is not lower-case"),
        ("lambda", "--name: 'lambda' is a word of the Python"),
        ("../up", "--name: '../up'"),
        ("a\nspec: b", "--name: "),
    ],
)
def test_invalid_name_is_one_line(here, capsys, name, said):
    assert main(["init", "--name", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("place", ["/", "a_file", "a_file/inside"])
def test_invalid_folder_is_one_line(capsys, place):
    Path("a_file").write_text("mine\n")
    assert main(["init", place]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert Path("a_file").read_text() == "mine\n"


def test_every_yaml_file_names_an_existing_schema(here):
    """Also rendered files, whose line takes precedence over editor settings."""
    main(["init"])
    specs = [*here.glob("families/**/*.yaml"), *here.glob("tasks/*.yaml")]
    specs += here.glob("experiments/*.yaml")
    assert len(specs) == 9
    for path in specs:
        (named,) = MODELINE.findall(path.read_text("utf-8"))
        schema = Path(os.path.normpath(path.parent / named))
        assert schema.parent == here / "schemas"
        kind = re.search(r"^spec: xlmgen/(\w+)/", path.read_text("utf-8"), re.M)[1]
        assert schema.name == f"{kind}.schema.json"
        assert schema.is_file()


def test_editor_settings_map_specs_to_schemas(here):
    main(["init"])
    settings = json.loads(Path(".vscode/settings.json").read_text("utf-8"))
    mapped = {}
    for schema, patterns in settings["yaml.schemas"].items():
        assert Path(schema).is_file()
        for pattern in patterns:
            mapped |= dict.fromkeys(here.glob(pattern), Path(schema).name)
    assert len(mapped) == 9
    for path, schema in mapped.items():
        assert MODELINE.findall(path.read_text("utf-8"))[0].endswith(f"/{schema}")
    assert json.loads(Path(".vscode/extensions.json").read_text("utf-8"))


def test_no_file_is_git_ignored_and_schemas_are_current(capsys, monkeypatch):
    main(["init", "lab"])
    subprocess.run(["git", "init", "-q", "lab"], check=True)
    subprocess.run(["git", "-C", "lab", "add", "."], check=True)
    staged = subprocess.run(
        ["git", "-C", "lab", "ls-files"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(staged) == set(starters("mine"))
    monkeypatch.chdir("lab")
    capsys.readouterr()
    assert main(["schemas"]) == 0
    assert capsys.readouterr().out == "0 of 4 files changed in schemas\n"


def test_failed_write_leaves_nothing(here, monkeypatch):
    replace = Path.replace

    def fail(path, target):
        if Path(target).name == "train.sbatch":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    Path("notes.txt").write_text("mine\n")
    monkeypatch.setattr(Path, "replace", fail)
    assert main(["init"]) == 2
    assert [path.name for path in here.iterdir()] == ["notes.txt"]


def test_workflow_runs_action_of_project(here):
    main(["init"])
    workflow = yaml.safe_load(Path(".github/workflows/specs.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    checkout, action = job["steps"]
    assert checkout["with"]["fetch-depth"] == 0
    assert workflow["permissions"] == {"contents": "read"}
    copied = Path(action["uses"]) / "action.yml"
    assert copied.read_bytes() == (resources.root() / "action.yml").read_bytes()
    assert set(action["with"]) <= set(yaml.safe_load(copied.read_text())["inputs"])
    assert action["with"]["version"] == __version__


def stand_in(folder, program, code=0):
    """Put a program on the path that prints its arguments and exits with a code."""
    path = folder / "bin" / program
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "${{0##*/}}" "$@"\nexit {code}\n')
    path.chmod(0o755)
    return {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}


def called(command, environment):
    done = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    )
    return shlex.split(done.stdout)


def experiment_of(words):
    """Resolve the experiment of an `xlmgen train …` command."""
    from xlmgen.experiment import resolve

    start = words.index("train")
    return resolve(words[start + 1], words[start + 2 :])


def test_scripts_train_with_one_process_per_gpu(here):
    main(["init"])
    environment = stand_in(here, "torchrun")
    command = "bash scripts/torchrun.sh 4 experiments/graphs.yaml training.seed=7"
    words = called(command.split(), environment)
    assert words[:4] == ["torchrun", "--standalone", "--nproc-per-node=4", "--module"]
    training = experiment_of(words).training
    assert (training.devices, training.seed) == (4, 7)


@pytest.mark.parametrize(
    ("code", "requeued"),
    [
        (0, False),
        (1, False),
        (128 + signal.SIGTERM, False),
        (128 + signal.SIGUSR1, True),
    ],
)
def test_job_at_time_limit_is_requeued(here, code, requeued):
    """A job that failed, ended or was cancelled is not requeued."""
    main(["init"])
    stand_in(here, "scontrol")
    environment = stand_in(here, "srun", code) | {
        "SLURM_JOB_ID": "77",
        "SLURM_NTASKS_PER_NODE": "8",
        "SLURM_JOB_NUM_NODES": "2",
    }
    done = subprocess.run(
        ["bash", "scripts/train.sbatch"],
        env=environment,
        capture_output=True,
        text=True,
    )
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["srun", "xlmgen", "train"]
    training = experiment_of(lines[0]).training
    assert (training.devices, training.num_nodes) == (8, 2)
    assert lines[1:] == [["scontrol", "requeue", "77"]] * requeued
    assert done.returncode == (0 if requeued else code)
    directives = Path("scripts/train.sbatch").read_text()
    assert "#SBATCH --signal=USR1@120" in directives
    assert "#SBATCH --requeue" in directives


@pytest.mark.parametrize("script", ["torchrun.sh", "train.sbatch"])
def test_scripts_are_bash_and_name_existing_experiment(here, script):
    main(["init"])
    path = Path("scripts", script)
    subprocess.run(["bash", "-n", path], check=True)
    named = set(re.findall(r"experiments/\S+?\.yaml", path.read_text()))
    assert named
    assert all(Path(name).is_file() for name in named)


@pytest.mark.slow
def test_torchrun_trains_with_two_processes(here):
    main(["init"])
    options = "training.max_steps=2 training.log_every=1 training.batch_size=4"
    small = "training.accelerator=cpu evaluation.generate=2 model.layers=1"
    command = f"bash scripts/torchrun.sh 2 experiments/graphs.yaml {options} {small}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    one = {"PATH": path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        command.split(),
        env=os.environ | one,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("step 2/2") == 1
    (run,) = Path("runs").iterdir()
    assert (run / "checkpoints" / "step=000002" / "model.safetensors").is_file()

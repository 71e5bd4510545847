"""Commands that read, check or render start quickly: they import little."""

import json
import subprocess
import sys

import pytest
import yaml

from xlmgen import resources
from xlmgen.cli.check import check_paths
from xlmgen.data.task import load_task
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import family_folder
from xlmgen.runs.folder import create

HEAVY = ("torch", "numpy", "lightning", "tokenizers", "rich")
COMMANDS = (
    ["--help"],
    ["init", "nowhere", "--dry-run"],
    ["check", "families"],
    ["list"],
    ["explain", "predictor.order"],
    ["data", "--help"],
    ["review", "--against", "HEAD", "families/mdlm"],
    ["new", "families/mdlm/family.yaml", "--dry-run"],
    ["update", "families/mdlm", "--dry-run"],
    ["migrate", "families/mdlm/family.yaml"],
)
SCRIPT = f"""
import json, sys
from xlmgen.cli import main
code = main(sys.argv[1:])
print("\\n" + json.dumps([code, sorted({set(HEAVY)} & set(sys.modules))]))
"""


def run(command, folder):
    """Return the exit code, the heavy imports and the errors."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return *json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_heavy_packages_are_not_imported(command):
    code, heavy, _ = run(command, resources.root())
    assert heavy == []
    assert code != 2  # it ran; whether the families are in order is not asked here


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("resolve", "toy_task.yaml"),
        ("data", "toy.yaml"),
        ("data", "toy_task.yaml"),
        ("data", "family"),
        ("prepare", "toy_task.yaml"),
        ("train", "family"),
    ],
)
def test_mistake_in_yaml_is_reported_before_importing_torch(command, file, project):
    path = project / file
    if file == "family":
        path = project / "families" / "toy" / "family.yaml"
    path.write_text(path.read_text("utf-8") + "colour: red\n", "utf-8")
    code, heavy, error = run([command, "toy.yaml"], project)
    assert code == 1
    assert "XG101  colour: unknown key 'colour'" in error
    assert not {"torch", "lightning", "tokenizers"} & set(heavy)


@pytest.mark.parametrize(
    ("command", "file", "added", "override", "said"),
    [
        ("eval", "task.yaml", "colour: red", "", "XG101  colour"),
        ("eval", "task.yaml", "", "predictor.stpes=3", "unknown key 'stpes'"),
        ("generate", "task.yaml", "colour: red", "", "XG101  colour"),
        ("generate", "families/toy/family.yaml", "colour: red", "", "XG101  colour"),
        ("generate", "task.yaml", "", "training.seed=3", "cannot be changed in an"),
    ],
)
def test_mistake_about_run_is_reported_before_importing_torch(
    command, file, added, override, said, project
):
    experiment = resolve("toy.yaml")
    folder = family_folder(experiment)
    create(project / "run", experiment, folder, load_task("toy_task.yaml"), ())
    checkpoint = project / "run" / "checkpoints" / "step=000001"
    checkpoint.mkdir()
    (checkpoint / "manifest.json").write_text("{}")
    path = project / "run" / file
    path.write_text(f"{path.read_text('utf-8')}{added}\n", "utf-8")
    code, heavy, error = run([command, "run", *override.split()], project)
    assert code in (1, 2)
    assert said in error
    assert not {"torch", "lightning"} & set(heavy)


def test_mistake_in_task_is_reported_before_importing_tokenizers(project):
    path = project / "toy_task.yaml"
    path.write_text(path.read_text("utf-8") + "colour: red\n", "utf-8")
    code, heavy, error = run(["tokenizer", "train", path.name], project)
    assert (code, heavy) == (1, [])
    assert "XG101  colour: unknown key 'colour'" in error


def test_modules_of_other_commands_are_not_imported():
    script = (
        "import sys; from xlmgen.cli import main; main(['schemas', '--help']); "
        "print(*(name for name in sys.modules if name.startswith('xlmgen.cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.splitlines()[-1].split())
    shared = {"xlmgen.cli.printing", "xlmgen.cli.formats"}
    assert imported == {"xlmgen.cli.schemas", *shared}


def test_check_reads_every_file_once(monkeypatch):
    """Also a family or a task of many experiments."""
    texts, parse = [], yaml.parse

    def count(text, **options):
        texts.append(text)
        return parse(text, **options)

    monkeypatch.setattr(yaml, "parse", count)
    checked = check_paths([resources.root() / "families"])
    assert len(checked.files) > len(list(resources.root().glob("families/*")))
    experiments = [file for file in checked.files if file.parent.name == "experiments"]
    tasks = {yaml.safe_load(file.read_text())["task"] for file in experiments}
    assert len(texts) == len(set(texts)) == len(checked.files) + len(tasks)

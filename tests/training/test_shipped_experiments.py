"""Every experiment that a family ships resolves, fits, and trains."""

from pathlib import Path

import pytest

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.experiment import resolve
from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.render.plan import EXPERIMENTS
from xlmgen.runs.run import Run
from xlmgen.tasks.find import task_path

FAMILIES = sorted(
    p.parent for p in (resources.root() / "families").glob("*/family.yaml")
)
SHIPPED = [
    folder / "experiments" / f"{task}.yaml"
    for folder in FAMILIES
    for task in EXPERIMENTS
]
MAX_LENGTHS = {"star_easy": (28, 14), "star_medium": (36, 16), "star_hard": (116, 28)}
"""Prompt and answer in the field's setting."""


def label(path):
    return f"{path.parent.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_it_resolves_to_its_own_family_and_task(path):
    experiment = resolve(path)
    folder = family_folder(experiment)
    assert folder == path.parent.parent.resolve()
    check_family(experiment, folder)
    assert experiment.task == path.stem
    assert task_path(experiment.task).is_file()


@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_the_tiny_size_is_one_override_away(path):
    experiment = resolve(path, ["size=tiny"])
    check_family(experiment, family_folder(experiment))


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=label)
def test_two_steps_validation_and_answers(path: Path, project, two_steps, capsys):
    (project / "data").mkdir()
    words = "\n\n".join(f"{n} is a number, and so is {n * n}" for n in range(800))
    (project / "data" / "numbers.txt").write_text(words, encoding="utf-8")
    assert main(["train", str(path), *two_steps, "--run-dir", "run"]) == 0
    assert Run.open("run").checkpoint("last")[0] == 2
    assert "val/loss" in capsys.readouterr().out


@pytest.mark.parametrize("name", MAX_LENGTHS)
def test_max_lengths_are_the_field_s(name):
    max_length = load_task(name).max_length
    assert (max_length.prompt, max_length.answer) == MAX_LENGTHS[name]

"""Experiments are found by name, and a name that is not found says what there is."""

import shutil
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.experiment import resolve


@pytest.fixture
def experiments(project):
    Path("experiments").mkdir()
    text = Path("toy.yaml").read_text("utf-8").replace("./toy", "../toy")
    Path("experiments/graphs.yaml").write_text(text, "utf-8")
    return project


def said(capsys, *arguments):
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_name_is_a_file_in_the_experiments_folder(experiments, capsys):
    code, out, _ = said(capsys, "resolve", "graphs", "training.seed=3")
    assert code == 0
    assert "experiments/graphs.yaml:" in out
    assert said(capsys, "prepare", "graphs")[0] == 0
    assert said(capsys, "train", "graphs", "training.max_steps=1")[0] == 0
    assert Path("runs/toy/experiment.yaml").is_file()


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "toy"),
        (("training.seed=3",), "toy-seed3"),
        (("training.seed=3", "name=mine"), "mine"),
        (("name=null", "training.seed=3"), "toy-toy_task-tiny-seed3"),
        (("training={max_steps: 5}",), "toy"),
    ],
)
def test_seed_of_the_command_line_is_in_the_name(project, overrides, name):
    assert resolve("toy.yaml", overrides).name == name


def test_name_with_a_family_is_an_experiment_of_the_family(project, capsys):
    code, out, _ = said(capsys, "resolve", "mdlm/star_tiny")
    assert code == 0
    assert "name: mdlm-star_tiny-tiny" in out
    own = Path("families/toy/experiments")
    own.mkdir()
    text = Path("toy.yaml").read_text("utf-8").replace("./toy", "../../../toy")
    (own / "small.yaml").write_text(text, "utf-8")
    assert said(capsys, "resolve", "toy/small")[0] == 0


def test_existing_file_wins_over_a_name(experiments, capsys):
    shutil.copy("toy.yaml", "graphs")
    code, out, _ = said(capsys, "resolve", "graphs")
    assert code == 0
    assert "  # graphs:" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("graph", "there is no experiment 'graph' in ./experiments; did you mean"),
        ("star_tiny", "in ./experiments; did you mean '"),
        ("mdlm/star_tinny", "of the family mdlm; did you mean 'star_tiny'? there are"),
        ("mdln/star_tiny", "did you mean 'mdlm'"),
        ("graphs.yaml", "there is no such file"),
        ("a/b/c", "there is no such file"),
    ],
)
def test_unknown_name_is_an_error_with_the_fix(experiments, capsys, name, message):
    code, _, err = said(capsys, "train", name)
    assert code in (1, 2)
    assert message in err
    assert "Traceback" not in err


def test_project_without_experiments_says_how_to_name_one(project, capsys):
    _, _, err = said(capsys, "train", "xyz")
    assert "give the path of a YAML file, or FAMILY/TASK" in err

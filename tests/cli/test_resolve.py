"""`xlmgen resolve`: defaults, origins and refusals."""

import subprocess
import sys

import pytest

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.experiment.show import to_yaml


def said(capsys, *arguments):
    code = main(["resolve", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_every_value_has_its_origin(project, capsys):
    code, out, _ = said(capsys, "toy.yaml", "training.seed=3", "model={layers: 2}")
    lines = [line.split("  # ") for line in out.splitlines()]
    origins = {line[0].strip(): line[1] for line in lines if len(line) == 2}
    assert code == 0
    assert origins["max_steps: 12"] == "toy.yaml:7"
    assert origins["seed: 3"] == "command line"
    assert origins["layers: 2"] == "command line"
    assert origins["weight_decay: 0.01"] == "default"
    assert origins[f"task: {project}/toy_task.yaml"] == "toy.yaml:4"


def test_key_missing_in_override_is_default(project, capsys):
    """The mapping replaces that of the file with all its keys."""
    overrides = ("training.seed=3", "training={max_steps: 5}", "evaluation.generate=1")
    _, out, _ = said(capsys, "toy.yaml", *overrides)
    lines = [line.split("  # ") for line in out.splitlines()]
    origins = {line[0].strip(): line[1] for line in lines if len(line) == 2}
    assert origins["max_steps: 5"] == "command line"
    assert origins["seed: 0"] == "default"
    assert origins["log_every: 50"] == "default"  # the file says 3
    assert origins["generate: 1"] == "command line"
    assert origins["batch_size: 16"] == "toy.yaml:15"


def test_output_resolves_to_itself(project, capsys):
    _, out, _ = said(capsys, "toy.yaml", "training.learning_rate=2e-5")
    (project / "again.yaml").write_text(out, encoding="utf-8")
    again = resolve("again.yaml")
    assert again == resolve("toy.yaml", ["training.learning_rate=2e-5"])
    assert again.training.learning_rate == 2e-5
    assert to_yaml(again, origins=False) == to_yaml(
        resolve("toy.yaml", ["training.learning_rate=2e-5"]), origins=False
    )


def test_default_name_has_family_task_and_size(project):
    assert resolve("toy.yaml", ["name=null"]).name == "toy-toy_task-tiny"


def test_paths_are_relative_to_file_or_current_folder(project, monkeypatch):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert resolve("../toy.yaml").task == f"{project}/toy_task.yaml"
    other = resolve("../toy.yaml", ["task=./mine.yaml"])
    assert other.task == f"{project}/elsewhere/mine.yaml"


def test_torch_is_not_imported(project):
    program = (
        "import sys; from xlmgen.cli import main; code = main(); "
        "assert not {'torch', 'lightning', 'numpy'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "resolve", "toy.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.max_step=5", "did you mean 'max_steps'?"),
        ("training.lr=5", "did you mean 'learning_rate'?"),
        ("training.val_every=5", "did you mean 'validate_every'?"),
        ("training.color=5", "allowed here: max_steps, batch_size, accumulate, "),
        ("training.color=5", ", learning_rate, "),
        ("trainig.max_steps=5", "did you mean 'training'?"),
        ("seed=5", "did you mean 'training.seed'?"),
        ("training.max_steps=many", "'many' is a string, not an integer"),
        ("training.max_steps=0", "0 is out of range; it must be ≥ 1"),
        ("training.max_steps.a=1", "not an integer"),
        ("training.schedule=cosin", "did you mean 'cosine'?"),
        ("training=5", "5 is an integer, not a mapping"),
        ("training.betas=[0.9, 1]", "1 is out of range"),
        ("training.betas=[0.9", "the value cannot be read"),
        ("training.seed", "is not an override; write key.path=value"),
        ("=3", "is not an override"),
        ("name=../../etc", "is not of the form"),
        ("size=huge", "the family toy has no size 'huge'"),
        ("size=tin", "did you mean 'tiny'?"),
        ("model.num_heads=5", "num_heads"),
        ("predictor.temprature=0.5", "did you mean 'temperature'?"),
        ("predictor.temperature=-1", "-1 is out of range"),
        ("family=toys", "did you mean 'toy'?"),
        ("family=./nowhere", "there is no family.yaml"),
        ("task=star_eesy", "did you mean 'star_easy'?"),
        ("task=./nowhere.yaml", "there is no task file"),
        ("training.seed=1\nsize: x", "the value cannot be read"),
    ],
)
def test_invalid_override_is_one_line(project, capsys, override, message):
    code, out, err = said(capsys, "toy.yaml", override)
    assert code in (1, 2)
    assert message in err
    assert "Traceback" not in err
    assert out == ""


def test_suggestion_prefers_existing_key(project, capsys):
    text = (project / "toy.yaml").read_text().replace("  warmup_steps: 2\n", "")
    (project / "toy.yaml").write_text(text)
    assert (
        "did you mean 'max_steps'?"
        in said(capsys, "toy.yaml", "training.max_step=5")[2]
    )


def test_all_problems_of_file_are_shown(project, capsys):
    text = (project / "toy.yaml").read_text(encoding="utf-8")
    text = text.replace("max_steps: 12", "max_step: 12").replace("size:", "sise:")
    (project / "wrong.yaml").write_text(text, encoding="utf-8")
    code, _, err = said(capsys, "wrong.yaml", "training.seed=1")
    assert code == 1
    assert "wrong.yaml:7:3" in err
    assert "did you mean 'max_steps'?" in err
    assert "did you mean 'size'?" in err


def test_override_can_add_required_key(project, capsys):
    text = (project / "toy.yaml").read_text(encoding="utf-8")
    (project / "open.yaml").write_text(text.replace("size: tiny\n", ""))
    assert said(capsys, "open.yaml")[0] == 1
    assert said(capsys, "open.yaml", "size=tiny")[0] == 0


def test_missing_file_is_one_line(project, capsys):
    code, _, err = said(capsys, "nowhere.yaml")
    assert code in (1, 2)
    assert "nowhere.yaml" in err
    assert "Traceback" not in err


def test_experiment_in_family_folder_means_that_family(project, capsys, monkeypatch):
    """Experiments written by `xlmgen new --out` work from any folder."""
    experiments = project / "families" / "toy" / "experiments"
    experiments.mkdir()
    (experiments / "a.yaml").write_text(
        "{spec: xlmgen/experiment/v1, family: toy, task: star_tiny, size: tiny}"
    )
    (project / "families").rename(project / "other")
    code, _, err = said(capsys, "toy.yaml")
    assert (code, "there is no family 'toy'" in err) == (2, True)
    assert said(capsys, "other/toy/experiments/a.yaml")[0] == 0

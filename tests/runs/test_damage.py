"""Damaged checkpoints: reported, not used and not deleted."""

import json
import shutil
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training import fit

STEPS = (4, 6, 8, 12)  # at 6 the validation loss improved


@pytest.fixture
def run(project, capsys):
    """A run of twelve steps with all checkpoints, the best at 12."""
    assert main(["train", "toy.yaml", "--run-dir", "run", "training.keep=null"]) == 0
    capsys.readouterr()
    return project / "run"


def said(capsys, *arguments):
    code = main([*arguments])
    out, err = capsys.readouterr()
    return code, out, err


def folder(run, step):
    return run / "checkpoints" / f"step={step:06d}"


def cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def one_line(err):
    """The error, asserted to be one line without a traceback."""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


def content(place):
    return {file.name: file.read_bytes() for file in place.iterdir()}


def go_on(capsys, *overrides):
    longer = ("training.max_steps=12", "training.keep=null", *overrides)
    return said(capsys, "train", "toy.yaml", "--run-dir", "run", *longer)


def test_damaged_checkpoint_resumes_from_previous_one(run, capsys):
    before, rows = content(folder(run, 12)), read_rows(run / "metrics.csv")
    cut(folder(run, 12) / "model.safetensors")
    other = folder(run, 8) / "state.pt"
    other.write_bytes(other.read_bytes()[:-1] + b"\1")
    (folder(run, 6) / "manifest.json").write_text("{")
    code, out, _ = go_on(capsys)
    assert code == 0
    notes = [line for line in out.splitlines() if line.startswith("note:")]
    assert len(notes) == 3
    assert "step 12 is not used: model.safetensors has" in notes[0]
    assert "step 8 is not used: checksum mismatch of state.pt" in notes[1]
    assert "step 6 is not used: manifest.json cannot be read" in notes[2]
    assert "continuing from step 4" in out
    after = content(folder(run, 12))
    assert after["model.safetensors"] == before["model.safetensors"]
    assert read_rows(run / "metrics.csv") == rows  # those of 6, 9 and 12 once
    assert Run.open(run).resume_point().step == 12


def test_metrics_are_truncated_to_used_checkpoint(run, capsys):
    (folder(run, 12) / "state.pt").unlink()
    code, out, _ = go_on(capsys, "training.max_steps=9", "training.log_every=100")
    assert code == 0
    assert "continuing from step 8" in out
    steps = [int(row["step"]) for row in read_rows(run / "metrics.csv")]
    assert steps == [3, 6, 9]


def test_run_without_intact_checkpoint_is_not_restarted(run, capsys):
    for step in STEPS:
        cut(folder(run, step) / "model.safetensors")
    before = {step: content(folder(run, step)) for step in STEPS}
    rows = (run / "metrics.csv").read_bytes()
    code, out, err = go_on(capsys)
    assert code == 2
    assert "no checkpoint of the run run is intact: step 12: model.safetensors" in err
    assert all(f"step {step}: " in err for step in STEPS)
    assert len(err.strip().splitlines()) == 1
    assert "step 1/" not in out
    assert {step: content(folder(run, step)) for step in STEPS} == before
    assert (run / "metrics.csv").read_bytes() == rows
    for step in STEPS:
        shutil.rmtree(folder(run, step))
    code, _, err = go_on(capsys)
    assert (
        code,
        "run/checkpoints has no checkpoint, but run/checkpoints/best.json shows" in err,
    ) == (2, True)


def test_checkpoint_of_another_run_is_kept_and_not_used(run, capsys):
    """A foreign folder with the name of the next checkpoint is set aside."""
    other = ["training.seed=3", "training.max_steps=16"]
    assert main(["train", "toy.yaml", "--run-dir", "other", *other]) == 0
    shutil.copytree(folder(Path("other"), 16), folder(run, 16))
    foreign = content(folder(run, 16))
    shutil.copytree(folder(run, 4), folder(run, 20))
    capsys.readouterr()
    code, out, _ = go_on(capsys, "training.max_steps=16", "training.keep=0")
    assert code == 0
    assert "step 20 is not used: it is a copy of step 4" in out
    assert "step 16 is not used: it belongs to another run" in out
    assert "continuing from step 12" in out
    assert content(run / "checkpoints" / "step=000016.other") == foreign
    assert Run.open(run).resume_point().step == 16
    found = {path.name for path in (run / "checkpoints").iterdir()}
    own = {"step=000016", "step=000016.other", "step=000020", "best.json"}
    assert found == own


@pytest.mark.parametrize("command", ["eval", "generate"])
def test_readers_refuse_damage_and_name_intact_checkpoint(run, capsys, command):
    cut(folder(run, 12) / "model.safetensors")
    (folder(run, 8) / "manifest.json").unlink()
    cut(folder(run, 6) / "model.safetensors")
    (folder(run, 4) / "state.pt").unlink()  # nothing but `train` needs it
    code, _, err = said(capsys, command, "run")
    assert code == 2
    assert "checkpoints/step=000012 is damaged: model.safetensors has" in err
    assert "step 4 is intact: --checkpoint 4" in err
    assert len(err.strip().splitlines()) == 1
    assert said(capsys, command, "run", "--checkpoint", "4")[0] == 0


def test_best_checkpoint_exists_after_damage(run, capsys, monkeypatch):
    """Step 12 was best and is damaged: step 6 is best again, until 9 is better."""
    best, meanwhile = run / "checkpoints" / "best.json", []
    assert json.loads(best.read_text())["step"] == 12
    cut(folder(run, 12) / "model.safetensors")
    original = fit.generate_answers

    def generate_answers(*args, **options):
        meanwhile.append(json.loads(best.read_text()))
        return original(*args, **options)

    monkeypatch.setattr(fit, "generate_answers", generate_answers)
    assert go_on(capsys, "training.max_steps=9")[0] == 0
    rows = {int(row["step"]): row for row in read_rows(run / "metrics.csv")}
    losses = [{"step": n, "val/loss": float(rows[n]["val/loss"])} for n in (6, 9)]
    assert [*meanwhile, json.loads(best.read_text())] == losses


DEEP = "[" * 200_000


def test_damaged_best_json_is_named_and_other_checkpoints_work(run, capsys):
    best = run / "checkpoints" / "best.json"
    for text in ("", "nonsense", "[]", "{}", '{"step": "6"}', '{"step": 1e999}', DEEP):
        best.write_text(text)
        code, _, err = said(capsys, "eval", "run", "--limit", "2")
        assert code == 2
        assert one_line(err).startswith("error: run/checkpoints/best.json ")
        assert "name a checkpoint with --checkpoint last or a step" in err
        assert len(err) < 400
        with pytest.raises(UserError, match=r"best\.json"):
            Run.open("run").checkpoint("best")
        for which, step in (("last", 12), ("8", 8), ("000008", 8)):
            assert Run.open("run").checkpoint(which)[0] == step
    assert said(capsys, "eval", "run", "--limit", "2", "--checkpoint", "last")[0] == 0
    assert go_on(capsys, "training.max_steps=13")[0] == 0
    assert json.loads(best.read_text())["step"] in (12, 13)  # by the state of 12


def test_missing_best_checkpoint_is_reported(run, capsys):
    shutil.rmtree(folder(run, 12))
    code, _, err = said(capsys, "eval", "run")
    assert code == 2
    assert "the run run has no checkpoint step 12, its best" in one_line(err)
    assert "choose last, or a step of 4, 6, 8" in err


def test_invalid_manifest_resumes_from_previous_checkpoint(run, capsys):
    for text in ("", "[]", DEEP, '{"files": 1}', '{"files": {"a": {"size": 1e999}}}'):
        (folder(run, 12) / "manifest.json").write_text(text)
        assert Run.open("run").resume_point().step == 8
        code, _, err = said(capsys, "eval", "run")
        assert code == 2
        assert "step 8 is intact: --checkpoint 8" in one_line(err)
    code, out, _ = go_on(capsys)
    assert code == 0
    assert "step 12 is not used: manifest.json cannot be read" in out
    assert "continuing from step 8" in out


def test_damaged_versions_json_is_named(run, capsys):
    for text in ("", "[]", DEEP, '{"id": 1e999}', '{"id": [1]}'):
        (run / "versions.json").write_text(text)
        for command in ("eval", "generate"):
            code, _, err = said(capsys, command, "run")
            assert code == 2
            assert "error: run/versions.json " in one_line(err)
        code, _, err = go_on(capsys)
        assert code == 2
        assert "error: run/versions.json " in one_line(err)


def test_run_with_deleted_checkpoints_is_not_restarted(run, capsys):
    before = (run / "metrics.csv").read_bytes()
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    code, out, err = go_on(capsys)
    assert code == 2
    assert "run/checkpoints has no checkpoint, but metrics.csv says" in one_line(err)
    assert "validated at step 6" in err
    assert "step 1/" not in out
    assert (run / "metrics.csv").read_bytes() == before
    (run / "imported.json").write_text("{}")  # of a run that began with weights
    (run / "metrics.csv").unlink()
    code, _, err = go_on(capsys)
    assert code == 2
    assert "but run/imported.json shows that there was one" in one_line(err)


def test_run_killed_before_first_checkpoint_restarts_with_note(run, capsys):
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    (run / "metrics.csv").write_text("\n".join([header, *rows[:2], ""]))  # 3 and 6
    code, out, _ = go_on(capsys)
    assert code == 0
    assert "no checkpoint was saved yet: the run starts again from step 0" in out
    assert "the rows up to step 6 in metrics.csv are written again" in out
    assert [int(row["step"]) for row in read_rows(run / "metrics.csv")] == [3, 6, 9, 12]


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "step\nx\n", "step\n\xff\n", 'step\n"\n']
)
def test_invalid_metrics_file_is_named(text, tmp_path):
    (tmp_path / "metrics.csv").write_text(text, "latin-1")
    with pytest.raises(UserError, match=r"metrics\.csv is damaged"):
        read_rows(tmp_path / "metrics.csv")

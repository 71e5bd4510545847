"""`xlmgen train`: output and error messages."""

import json
import re
import shutil

import pytest

from xlmgen.cli import main
from xlmgen.runs.run import Run


def said(capsys, *arguments):
    code = main(["train", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_run_folder_has_name_of_run(project, capsys):
    code, out, _ = said(capsys, "toy.yaml")
    assert code == 0
    run = Run.open("runs/toy")
    assert run.checkpoint("last")[0] == 12
    shown = [int(step) for step in re.findall(r"^step (\d+)/12  loss", out, re.M)]
    assert shown == [3, 6, 9, 12]
    assert re.findall(r"^step (\d+)  val/loss \d", out, re.M) == ["6", "12"]
    assert "val/exact_match" in out
    for line in re.findall(r"^  xlmgen (.*)$", out, re.M):  # the next steps work
        assert main(line.split()) == 0


def test_same_command_continues_run(project, capsys):
    said(capsys, "toy.yaml", "training.max_steps=5")
    code, out, _ = said(capsys, "toy.yaml")
    assert code == 0
    assert "continuing from step 5" in out
    record = json.loads((project / "runs/toy/versions.json").read_text())
    assert len(record["continued"]) == 1


def test_smoke_runs_everything_in_its_own_folder(project, capsys):
    code, out, _ = said(capsys, "toy.yaml", "--debug", "smoke", "training.seed=4")
    assert code == 0
    assert "step 2/2" in out
    assert "val/exact_match" in out
    folder = re.search(r"xlmgen eval (\S+)", out)[1]
    assert Run.open(folder).experiment.training.seed == 4
    assert not (project / "runs").exists()
    shutil.rmtree(folder)


def test_overfit_learns_one_batch(project, capsys):
    rates = ["training.learning_rate=0.05", "training.batch_size=2"]
    code, out, _ = said(capsys, "toy.yaml", "--debug", "overfit", *rates)
    assert code == 0
    assert "learned one batch" in out
    assert not (project / "runs").exists()


def test_overfit_reports_failure(project, capsys, monkeypatch):
    monkeypatch.setattr("xlmgen.training.debugging.OVERFIT_STEPS", 3)
    code, out, _ = said(capsys, "toy.yaml", "--debug", "overfit")
    assert code == 1
    assert "not learned" in out


def test_overfit_stops_for_nan_loss(project, capsys):
    rate = "training.learning_rate=1.0e+37"
    code, out, _ = said(capsys, "toy.yaml", "--debug", "overfit", rate)
    assert code == 1
    steps = re.search(r"not learned: loss (?:nan|inf) after (\d+) steps", out)[1]
    assert int(steps) < 10


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.yaml"], (1, 2), "nowhere.yaml"),
        (["toy.yaml", "training.max_step=5"], (2,), "did you mean 'max_steps'?"),
        (["toy.yaml", "task=star_tine"], (2,), "did you mean 'star_tiny'?"),
        (["toy.yaml", "family=toys"], (2,), "did you mean 'toy'?"),
        (["toy.yaml", "--debug", "smok"], (2,), "smoke"),
        (["toy.yaml", "--run-dir", "families"], (2,), "not a run folder"),
        (["toy.yaml", "--run-dir", "toy.yaml/a"], (2,), "toy.yaml is not a folder"),
        (["toy.yaml", "model.num_kv_heads=1"], (1, 2), "num_kv_heads"),
        (["toy.yaml", "task=text"], (1, 2), "no file matches data/*.txt"),
        (["toy.yaml", "training.precision=16-mixed"], (2,), "needs a GPU"),
        (["toy.yaml", "training.devices=1000"], (2,), "out of range"),
        (["toy.yaml", "predictor.order=entropy"], (2,), "not a number; options that"),
        ([], (2,), "EXPERIMENT"),
    ],
)
def test_a_mistake_is_one_clear_line(project, capsys, arguments, code, message):
    got, out, err = said(capsys, *arguments)
    assert got in code
    assert message in err
    assert "Traceback" not in out + err
    assert not [*project.glob("runs/*"), *project.glob("runs/.*")]


def test_mixed_precision_clips_with_the_fused_optimiser(project, capsys):
    precise = ["training.precision=bf16-mixed", "training.gradient_clip=1e-9"]
    code, out, _ = said(capsys, "toy.yaml", *precise, "training.weight_decay=0")
    assert code == 0
    losses = [float(loss) for loss in re.findall(r"/12  loss (\S+)", out)]
    assert len(losses) == 4
    code, _, err = said(capsys, "toy.yaml", "training.gradient_clip=0")
    assert (code, "must be > 0" in err) == (2, True)


def test_family_without_layout_is_refused(project, capsys):
    (project / "lm.yaml").write_text(
        "{spec: xlmgen/task/v1, name: lm, layout: lm, max_length: {length: 8}, "
        "source: {files: {train: a.txt, validation: a.txt, test: a.txt}, "
        "format: text}, tokenizer: {kind: character}}"
    )
    (project / "a.txt").write_text("one\ntwo\n")
    code, _, err = said(capsys, "toy.yaml", "task=./lm.yaml")
    assert code in (1, 2)
    assert "toy has no collator" in err or "lm.yaml" in err


def test_too_long_answer_is_refused(project, capsys):
    task = (project / "toy_task.yaml").read_text()
    (project / "toy_task.yaml").write_text(task.replace("answer: 5", "answer: 3"))
    code, _, err = said(capsys, "toy.yaml")
    assert code in (1, 2)
    assert "max_length.answer" in err
    assert "Traceback" not in err


def test_error_in_first_batch_can_be_fixed_and_repeated(project, capsys):
    words = ["one", "two", "three", "four"]
    rows = [f'{{"prompt": "{a}", "target": "{b}"}}' for a in words for b in words]
    (project / "rows.jsonl").write_text("\n".join(rows))
    task = """{spec: xlmgen/task/v1, name: words, layout: seq2seq,
        max_length: {prompt: 7, answer: 4},
        source: {files: {train: rows.jsonl}, shares: {validation: 0.2, test: 0.2}},
        tokenizer: {kind: character}}"""
    (project / "words.yaml").write_text(task)
    code, _, err = said(capsys, "toy.yaml", "task=./words.yaml")
    assert (code, "raise max_length.answer to 6" in err) == (2, True)
    (project / "words.yaml").write_text(task.replace("answer: 4", "answer: 6"))
    code, out, _ = said(capsys, "toy.yaml", "task=./words.yaml")
    assert (code, "note" in out) == (0, False)


def test_unrendered_family_is_refused_with_fix(project, capsys):
    (project / "families" / "toy" / "__init__.py").unlink()
    code, _, err = said(capsys, "toy.yaml")
    assert code == 2
    assert "xlmgen new" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.devices=3"], "num_nodes is 3, and the launcher started 2"),
        ([], "num_nodes is 1, and the launcher started 2 processes"),
        (["--debug", "smoke"], "--debug smoke is for one process"),
    ],
)
@pytest.mark.parametrize(
    "said_by",
    [
        {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "2"},
        {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"},
    ],
)
def test_launcher_with_other_number_is_refused(
    project, capsys, monkeypatch, said_by, arguments, message
):
    """Refused before anything is written, because each process would run alone."""
    for name, value in said_by.items():
        monkeypatch.setenv(name, value)
    code, _, err = said(capsys, "toy.yaml", *arguments)
    assert (code, message in err) == (2, True)
    assert not (project / "runs").exists()


@pytest.mark.parametrize("command", ["check", "resolve", "train"])
def test_fsdp_with_muon_is_refused(project, capsys, command):
    text = (project / "toy.yaml").read_text()
    more = "training:\n  strategy: fsdp\n  optimizer: {kind: muon}\n"
    (project / "toy.yaml").write_text(text.replace("training:\n", more))
    assert main([command, "toy.yaml"]) in (1, 2)
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert "toy.yaml:8:21" in shown
    assert "training.optimizer.kind: 'muon' conflicts with strategy fsdp" in shown
    assert "use strategy ddp or kind adamw" in shown


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("kind: moun", "'moun' is not one of 'adamw', 'muon'; did you mean 'muon'?"),
        (
            "kind: muon, momentun: 0.9",
            "unknown key 'momentun'; did you mean 'momentum'?",
        ),
        ("kind: muon, momentum: 1", "1 is out of range; it must be ≥ 0 and < 1"),
        ("momentum: 0.9", "0.9 goes only with kind muon; AdamW has training.betas"),
        ("kind: muon, betas: [0.9, 0.99]", "unknown key 'betas'"),
    ],
)
def test_an_optimizer_with_a_mistake_is_refused(project, capsys, given, message):
    code, _, err = said(capsys, "toy.yaml", f"training.optimizer={{{given}}}")
    assert (code, message in err) == (2, True), err


@pytest.mark.parametrize("command", ["check", "resolve", "train"])
def test_fsdp_with_16_mixed_is_refused(project, capsys, command):
    text = (
        (project / "toy.yaml")
        .read_text()
        .replace("training:\n", "training:\n  strategy: fsdp\n  precision: 16-mixed\n")
    )
    (project / "toy.yaml").write_text(text)
    assert main([command, "toy.yaml"]) in (1, 2)
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert "toy.yaml:8:14" in shown
    assert "'16-mixed' conflicts with strategy fsdp" in shown
    assert "bf16-mixed" in shown

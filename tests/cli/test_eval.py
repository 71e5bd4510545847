"""`xlmgen eval`: printed numbers, and results and predictions in the run folder."""

import json
import re

import pytest

from xlmgen.cli import main
from xlmgen.evaluation.generate import TRACED


@pytest.fixture
def run(project, capsys):
    assert main(["train", "toy.yaml", "--run-dir", "run"]) == 0
    capsys.readouterr()
    return project / "run"


def said(capsys, *arguments):
    code = main(["eval", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def predictions(run, name):
    lines = (run / "predictions" / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_every_row_of_the_split_is_scored_and_written(run, capsys):
    code, out, _ = said(capsys, "run")
    assert code == 0
    rows = predictions(run, "test")
    assert [row["row"] for row in rows] == list(range(41))
    results = json.loads((run / "results" / "test.json").read_text())
    assert (results["rows"], results["step"]) == (41, 12)
    right = [row["correct"] for row in rows]
    assert results["scores"]["exact_match"] == sum(right) / 41
    assert all(row["correct"] == (row["prediction"] == row["target"]) for row in rows)
    accuracy = sum(row["token_accuracy"] for row in rows) / 41
    assert results["scores"]["token_accuracy"] == pytest.approx(accuracy)
    assert f"{results['loss']['loss']:.4f}" in out
    assert out.splitlines()[-1] == f"exact match: {100 * sum(right) / 41:.1f} %"
    assert max(map(len, out.splitlines())) <= 120


def test_first_rows_have_the_order_of_their_tokens(run, capsys):
    said(capsys, "run")
    rows = predictions(run, "test")
    assert [row["row"] for row in rows if "order" in row] == list(range(TRACED))
    for row in rows[:TRACED]:
        texts = [token for token, _ in row["order"] if token != "[EOS]"]
        assert " ".join(texts) == row["prediction"]
        # The stand-in writes from left to right, one token per step.
        assert [step for _, step in row["order"]] == [*range(1, len(row["order"]) + 1)]


def test_second_evaluation_replaces_the_first(run, capsys):
    said(capsys, "run")
    before = (run / "results" / "test.json").read_bytes()
    said(capsys, "run")
    assert (run / "results" / "test.json").read_bytes() == before
    assert len(predictions(run, "test")) == 41


def test_other_settings_write_other_files(run, capsys):
    said(capsys, "run", "--split", "validation", "--limit", "5", "--checkpoint", "last")
    name = "validation-checkpoint=last-limit=5"
    assert len(predictions(run, name)) == 5
    said(capsys, "run", "predictor.max_new_tokens=1", "--seed", "3")
    rows = predictions(run, "test-max_new_tokens=1-seed=3")
    assert max(len(row["prediction"].split()) for row in rows) <= 1
    assert len(list((run / "results").iterdir())) == 2


def test_order_of_options_does_not_change_file_names(run, capsys):
    options = ["predictor.temperature=0.5", "predictor.max_new_tokens=1"]
    said(capsys, "run", *options)
    said(capsys, "run", *reversed(options))
    names = [file.stem for file in (run / "results").iterdir()]
    assert names == ["test-max_new_tokens=1-temperature=0.5"]


def test_validation_loss_equals_training_report(run, capsys):
    said(capsys, "run", "--split", "validation", "--checkpoint", "last")
    results = run / "results" / "validation-checkpoint=last.json"
    loss = json.loads(results.read_text())["loss"]["loss"]
    text = (run / "metrics.csv").read_text().splitlines()
    last = dict(zip(text[0].split(","), text[-1].split(","), strict=True))
    assert float(last["val/loss"]) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no run folder nowhere; start one"),
        (["runn"], "there is no run folder runn; did you mean 'run'?"),
        (["families"], "not a run folder"),
        (["run", "--checkpoint", "99"], "no checkpoint '99'"),
        (["run", "--checkpoint", "newest"], "choose best, last, or a step of 12"),
        (["run", "--split", "tset"], "test"),
        (["run", "--limit", "0"], "limit"),
        (["run", "training.seed=1"], "only predictor.KEY=VALUE"),
        (["run", "predictor.temprature=1"], "did you mean 'temperature'?"),
        (["run", "predictor.max_new_tokens=0"], "out of range"),
        (["run", "predictor.top_k=3"], "differs from the render of its family.yaml"),
    ],
)
def test_mistake_is_one_line(run, capsys, arguments, message):
    code, out, err = said(capsys, *arguments)
    assert code in (1, 2)
    assert message in err
    assert "Traceback" not in out + err
    assert not list((run / "results").iterdir())


def test_run_without_checkpoint_is_refused(run, capsys):
    for path in (run / "checkpoints").glob("step=*"):
        path.rename(run / path.name)
    code, _, err = said(capsys, "run")
    assert code == 2
    assert re.search("no checkpoint yet; continue it", err)


def test_damaged_checkpoint_is_refused(run, capsys):
    (run / "checkpoints" / "step=000012" / "model.safetensors").write_bytes(b"\0" * 40)
    code, _, err = said(capsys, "run")
    assert code == 2
    assert "step=000012 is damaged: model.safetensors has 40 bytes instead of" in err
    assert "no other checkpoint of the run is intact" in err

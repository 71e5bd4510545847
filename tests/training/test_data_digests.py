"""A run knows which rows it was trained on, and says where they are others."""

import json
from pathlib import Path

import pytest

from xlmgen.cli import main

TASK = """\
spec: xlmgen/task/v1
name: pairs
layout: seq2seq
max_length: {prompt: 11, answer: 5}
source:
  files: {train: train.jsonl, validation: held_out.jsonl, test: held_out.jsonl}
tokenizer: {kind: vocabulary, range: 10}
metrics: [exact_match]
"""
TRAIN = ["train", "toy.yaml", "task=./pairs.yaml", "--run-dir", "run"]
MORE = [*TRAIN, "training.max_steps=14"]


def write(name, targets):
    rows = [{"prompt": "1 2 3", "target": str(target)} for target in targets]
    Path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def record():
    return json.loads(Path("run/versions.json").read_text("utf-8"))


def said(capsys, words):
    """The notes about rows of a command that succeeds."""
    capsys.readouterr()
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if line.startswith("note: the rows")]


@pytest.fixture
def trained(project, capsys):
    """A run of twelve steps on forty rows."""
    Path("pairs.yaml").write_text(TASK)
    write("train.jsonl", [n % 10 for n in range(40)])
    write("held_out.jsonl", [7] * 9)
    assert said(capsys, TRAIN) == []
    return project


def test_continuing_on_other_rows_is_said_and_recorded(trained, capsys):
    began = record()["rows"]
    assert list(began) == ["train", "validation", "test"]
    write("train.jsonl", [n % 10 for n in range(39, -1, -1)])
    (note,) = said(capsys, MORE)
    assert note.startswith("note: the rows of train have changed since the run run ")
    assert record()["rows"] == began
    (start,) = record()["continued"]
    assert {split for split in began if start["rows"][split] != began[split]} == {
        "train"
    }


def test_evaluating_other_rows_is_said(trained, capsys):
    write("held_out.jsonl", [7] * 8 + [6])
    (note,) = said(capsys, ["eval", "run"])
    assert note.startswith("note: the rows of validation, test have changed since")


def test_the_same_rows_in_another_file_are_the_same(trained, capsys):
    old = Path("train.jsonl").read_text()
    Path("train.jsonl").write_text(old.replace('": ', '":   ') + "\n\n")
    assert said(capsys, MORE) == []
    assert said(capsys, ["eval", "run"]) == []
    assert "rows" not in record()["continued"][0]


def test_runs_on_other_rows_are_told_apart_by_compare(trained, capsys):
    write("train.jsonl", [n % 9 for n in range(40)])
    other = [*TRAIN[:-1], "other"]
    for words in (other, ["eval", "run"], ["eval", "other"]):
        assert main(words) == 0
    capsys.readouterr()
    assert main(["compare", "run", "other"]) == 0
    out = capsys.readouterr().out
    assert "rows of train" in out
    assert "rows of test" not in out

"""`xlmgen prepare`: cached data and its counts."""

import json

import pytest

from xlmgen.cli import main
from xlmgen.data import summary
from xlmgen.data.task import load_task
from xlmgen.data.tokenizer import Tokenizer

TASK = """\
spec: xlmgen/task/v1
name: mine
layout: lm
max_length: {length: 7}
source:
  files: {train: a.jsonl, validation: b.jsonl, test: b.jsonl}
  filter: [{column: level, in: [1, 2]}]
tokenizer: {kind: vocabulary, tokens: [a, b, c]}
overflow: drop
unknown: drop
"""
ROWS = [("a", 1), ("b c", 2), ("a b c", 3), ("a x", 1), ("a a a a a a", 1), ("c", 1)]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Make a task whose train rows cover every outcome of a row."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "cache"))
    lines = [json.dumps({"text": text, "level": level}) for text, level in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl").write_text(lines[0])
    (tmp_path / "mine.yaml").write_text(TASK)
    return tmp_path


def counts(out):
    num_heads, train = (line.split() for line in out.splitlines()[1:3])
    return dict(zip(num_heads, train, strict=True))


def test_every_row_is_counted(mine, capsys, monkeypatch):
    assert main(["prepare", "mine.yaml"]) == 0
    out = capsys.readouterr().out
    assert counts(out) == {
        "split": "train",
        "documents": "4",
        "tokens": "10",
        "examples": "3",
        "filtered": "1",
        "unknown": "1",
        "dropped": "1",
        "truncated": "0",
    }
    assert str(mine / "cache") in out.splitlines()[-1]
    task = load_task("mine.yaml")
    assert summary.line(task) == (
        "data: 3 train, 1 validation, 1 test examples; 1 left out by the filter; "
        "1 left out that the tokenizer cannot encode; 1 left out longer than max_length"
    )
    # All that was asked for is there now.
    monkeypatch.delattr(Tokenizer, "encode_known")
    assert [e["tokens"].tolist() for e in task.examples("train")] == [[5], [6, 7], [7]]


def test_truncated_and_dropped_rows_are_counted_separately(mine, capsys):
    (mine / "mine.yaml").write_text(
        TASK.replace("overflow: drop", "overflow: truncate")
    )
    assert main(["prepare", "mine.yaml"]) == 0
    found = counts(capsys.readouterr().out)
    assert (found["examples"], found["dropped"], found["truncated"]) == ("4", "0", "1")
    assert "1 cut to max_length" in summary.line(load_task("mine.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "unknown: drop",
            "unknown: error",
            "a.jsonl:4: the tokenizer has no token for",
        ),
        ("overflow: drop", "overflow: error", "the tokens of a.jsonl:5 (train split)"),
        (
            "[1, 2]",
            "[8]",
            "the train split has no examples; the filter dropped 8 rows",
        ),
        ("column: level", "column: lvl", "a.jsonl:1: there is no column 'lvl', which"),
        ("in: [1, 2]", "min: 1", ""),
        (
            "level, in: [1, 2]",
            "text, min: 1",
            "column 'text' holds 'a', and source.fil",
        ),
        ("[a, b, c]", "[q]", "no examples; the filter dropped 1 rows; the tokenizer"),
    ],
)
def test_error_policy_names_place_of_row(mine, capsys, old, new, message):
    assert TASK.count(old) == 1
    (mine / "mine.yaml").write_text(TASK.replace(old, new))
    assert main(["prepare", "mine.yaml"]) == (2 if message else 0)
    assert message in capsys.readouterr().err


def test_task_of_experiment_is_prepared(project, capsys, monkeypatch):
    monkeypatch.setenv("XLMGEN_CACHE", str(project / "cache"))
    assert main(["prepare", "toy.yaml", "training.max_steps=3"]) == 0
    assert counts(capsys.readouterr().out)["documents"] == "200"
    assert main(["prepare", "toy.yml"]) == 1
    assert "there is no such file; did you mean 'toy.yaml'" in capsys.readouterr().err

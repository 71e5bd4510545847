"""`xlmgen tokenizer train`: a file for tasks, and a report."""

import re

import pytest

from xlmgen.cli import main
from xlmgen.data.task import load_task

TASK = """\
spec: xlmgen/task/v1
name: mine
layout: lm
max_length: {length: 200}
source: {files: {train: a.txt, validation: b.txt, test: b.txt}}
tokenizer: {kind: bpe, size: 300}
"""


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("the cat sat on the mat\n" * 5)
    (tmp_path / "b.txt").write_text("the mat sat\nthe dog\n")
    (tmp_path / "mine.yaml").write_text(TASK)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "ids", "said"),
    [
        ([], 5 + 256, "whole"),
        (["--kind", "unigram", "--size", "270"], 5 + 256, "whole"),
        (["--kind", "wordpiece", "--size", "40"], 10, "1 texts of validation cannot"),
        (
            ["--kind", "whitespace"],
            5 + 5,
            "1.00 tokens per word and 0.273 per byte",
        ),
        (
            ["--kind", "character"],
            5 + 10,
            "'t | h | e |   | m | a | t |   | s | a | t'",
        ),
    ],
)
def test_tokenizer_is_trained_and_described(mine, capsys, words, ids, said):
    assert main(["tokenizer", "train", "mine.yaml", *words]) == 0
    out = capsys.readouterr().out
    assert int(re.search(r"(\d+) ids", out)[1]) >= ids
    if said == "whole":  # any text can be written
        assert "over 2 texts" in out
        assert "cannot" not in out
    else:
        assert said in out
    line = out.splitlines()[-1].strip()
    assert line == "tokenizer: {kind: file, path: tokenizer.json}"
    (mine / "mine.yaml").write_text(
        TASK.replace("tokenizer: {kind: bpe, size: 300}", line)
    )
    task = load_task("mine.yaml")
    assert task.decode(task.tokenizer.encode("the mat")) == "the mat"
    assert main(["tokenizer", "train", "mine.yaml", "--kind", "bpe"]) == 2
    assert "tokenizer.json already exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "5"], "--size: 5 is less than"),
        (["--kind", "character", "--size", "300"], "'character' has no size"),
        (["--kind", "byte"], "'byte' is not one of"),
        (["--kind", "bqe"], "Did you mean 'bpe'?"),
    ],
)
def test_untrainable_kind_is_refused(mine, capsys, words, message):
    assert main(["tokenizer", "train", "mine.yaml", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (mine / "tokenizer.json").exists()


def test_task_without_trained_tokenizer_is_refused(capsys):
    assert main(["tokenizer", "train", "star_tiny"]) == 2
    assert "'vocabulary' is not trained on texts; choose" in capsys.readouterr().err


def test_task_without_texts_is_refused(mine, capsys):
    (mine / "a.txt").write_text("\n")
    assert main(["tokenizer", "train", "mine.yaml"]) == 2
    assert "the train split has no examples" in capsys.readouterr().err
    assert not (mine / "tokenizer.json").exists()

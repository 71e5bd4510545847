"""Data in the place of a YAML file is answered by the command that drafts a task."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.data import readers, text_files
from xlmgen.io import data_files

HINT = "`xlmgen task data/rows.jsonl` drafts a task from its data"


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/rows.jsonl").write_text('{"text": "a"}\n')


def test_suffixes_are_those_of_the_readers():
    assert set(data_files.SUFFIXES) == set(readers.FORMS)
    assert set(data_files.COMPRESSED) == set(text_files.COMPRESSED)


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.CSV", True), ("a.jsonl.gz", True), ("a.yaml", False), ("a", False)],
)
def test_data_is_known_by_its_suffix(name, found):
    assert data_files.is_data(Path(name)) is found


@pytest.mark.parametrize(
    "words",
    [
        ["check", "data"],
        ["check", "data/rows.jsonl"],
        ["train", "data"],
        ["tokenizer", "train", "data"],
        ["tokenizer", "train", "./data"],
        ["prepare", "data/rows.jsonl"],
    ],
    ids=" ".join,
)
def test_data_instead_of_yaml_names_the_command(data, capsys, words):
    assert main(words) in (1, 2)
    out, err = capsys.readouterr()
    assert HINT in out + err


@pytest.mark.parametrize(
    ("layout", "fix"),
    [
        ("seq2seq", "for example max_length: {prompt: 28, answer: 14}"),
        ("lm", "for example max_length: {length: 256}"),
    ],
)
def test_missing_max_length_shows_that_of_the_layout(data, capsys, layout, fix):
    Path("t.yaml").write_text(
        f"spec: xlmgen/task/v1\nname: t\nlayout: {layout}\n"
        "source: {files: {train: data/rows.jsonl}}\ntokenizer: {kind: byte}\n"
    )
    assert main(["check", "t.yaml"]) == 1
    said = "".join(capsys.readouterr())
    assert f"missing key 'max_length'; {fix}\n" in said
    with Path("t.yaml").open("a") as file:
        file.write("max_length: 10\n")
    assert main(["check", "t.yaml"]) == 1
    both = "for example {prompt: 28, answer: 14} or {length: 256}"
    assert f"10 is an integer, not a mapping; {both}" in "".join(capsys.readouterr())

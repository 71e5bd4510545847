"""Data sets read by the package datasets from local folders in the Hub's format."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest

from xlmgen.data import hub
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.spec.diagnostics import SpecError

TASK = """\
spec: xlmgen/task/v1
name: hubs
layout: lm
max_length: {{length: 40}}
source:
  hub: {{path: ./set, {hub}}}
  {more}
tokenizer: {{kind: byte}}
"""
SPLITS = ("train", "validation", "test")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data set with two splits, of 40 and 2 rows."""
    (tmp_path / "set").mkdir()
    for split, count in (("train", 40), ("held_out", 2)):
        rows = ({"body": f"{split} {i}", "n": i, "level": i % 2} for i in range(count))
        lines = "\n".join(map(json.dumps, rows))
        (tmp_path / "set" / f"{split}.jsonl").write_text(lines)
    (tmp_path / "set" / "README.md").write_text(
        "---\nconfigs:\n- config_name: main\n  data_files:\n"
        "  - {split: train, path: train.jsonl}\n"
        "  - {split: held_out, path: held_out.jsonl}\n---\n"
    )
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """The library, offline and with its own cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("datasets")
    # Both read the variable when they are imported, which another test may have done.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    library.disable_progress_bars()
    return library


def load(folder, hub="splits: {test: held_out}", more="columns: {tokens: body}"):
    (folder / "hubs.yaml").write_text(TASK.format(hub=hub, more=more))
    return load_task(folder / "hubs.yaml")


def texts(task):
    return {s: [task.decode(e["tokens"]) for e in task.examples(s)] for s in SPLITS}


@pytest.mark.slow
def test_local_folder_in_hub_format_is_read(folder, datasets, monkeypatch):
    found = texts(load(folder))
    assert [len(found[split]) for split in SPLITS] == [38, 2, 2]
    assert found["test"] == ["held_out 0", "held_out 1"]
    assert sorted(found["train"] + found["validation"]) == sorted(
        f"train {i}" for i in range(40)
    )
    # Streaming gives the same texts, and so does naming the only configuration.
    more = "streaming: true, name: main, splits: {test: held_out}"
    assert texts(load(folder, more)) == found

    # Limits and other options work as for files.
    task = load(
        folder,
        more="limit: {train: 5}\n  filter: [{column: level, in: [1]}]\n"
        '  templates: {tokens: "{n}: {body}"}',
    )
    found = texts(task)
    assert sorted(found["train"] + found["validation"]) == [
        f"{i}: train {i}" for i in (1, 3, 5, 7, 9)
    ]
    assert task.summary("test").filtered == 1

    # Changed content gives changed ids, despite the cache of the library.
    path = folder / "set" / "held_out.jsonl"
    path.write_text('{"body": "new", "n": 1, "level": 1}')
    assert texts(load(folder))["test"] == ["new"]

    # A run's copy of the task finds the folder from any location.
    run = folder / "run"
    run.mkdir()
    load(folder).save(run)
    monkeypatch.chdir(folder / "cache")
    assert texts(load_task(run / "task.yaml"))["test"] == ["new"]


@pytest.mark.slow
@pytest.mark.parametrize("streaming", ["true", "false"])
@pytest.mark.parametrize(
    ("hub", "more", "message"),
    [
        ("splits: {test: test}", "columns: {tokens: body}", "data set ./set: "),
        ("name: other", "columns: {tokens: body}", "data set ./set: "),
        (
            "splits: {test: held_out}",
            "columns: {tokens: bodi}",
            "train.jsonl:1: there is no column 'bodi'",
        ),
        (
            "splits: {test: held_out}",
            "columns: {tokens: n}",
            "train.jsonl:1: column 'n' holds 0",
        ),
    ],
)
def test_missing_split_or_column_is_reported(
    folder, datasets, hub, more, message, streaming
):
    task = load(folder, f"{hub}, streaming: {streaming}", more)
    with pytest.raises(UserError) as error:
        task.examples("train")
    assert message in str(error.value)


def test_unreadable_data_set_is_reported_with_reason(folder, datasets):
    (folder / "set" / "train.jsonl").write_text('{"body": "whole"}\n{"body": no\n')
    task = load(folder)
    with pytest.raises(UserError, match=r"train\.jsonl:2: not JSON"):
        task.examples("train")


CSV = "code,body\n0010,NA\n1.50,\n2020-01-01,x\n"
AS_THEY_ARE = ["0010 NA", "1.50 ", "2020-01-01 x"]
CARD = "---\nconfigs:\n- config_name: main\n  data_files: {file}\n{more}---\n"


@pytest.mark.parametrize(
    ("name", "content", "more", "split"),
    [
        ("train.csv", CSV, "", "train"),
        ("train.tsv", CSV.replace(",", "\t"), "", "train"),
        ("train.csv", CSV.replace(",", ";"), '  sep: ";"\n', "train"),
        # Files that only the library can read are read as text.
        ("train.csv", CSV, "", "train[:100%]"),
        ("train.csv", f"a line before\n{CSV}", "  skiprows: 1\n", "train"),
        (
            "train.jsonl",
            '{"code": "0010", "body": "NA"}\n{"code": "1.50", "body": ""}\n'
            '{"code": "2020-01-01", "body": "x"}\n',
            "",
            "train",
        ),
    ],
)
def test_cells_of_local_data_set_are_read_as_text(
    tmp_path, datasets, monkeypatch, name, content, more, split
):
    monkeypatch.setenv("XLMGEN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / name).write_text(content)
    (folder / "README.md").write_text(CARD.format(file=name, more=more))
    used = f'splits: {{train: "{split}", validation: "{split}", test: "{split}"}}'
    task = load(tmp_path, used, 'templates: {tokens: "{code} {body}"}')
    assert [r.texts[0] for r in task.corpus.rows() if r.split == "test"] == AS_THEY_ARE


def test_repeated_column_of_local_data_set_is_refused(folder, datasets):
    for path in (folder / "set").glob("*.*"):
        path.unlink()
    (folder / "set" / "train.csv").write_text("body,body\n1,2\n")
    with pytest.raises(UserError, match=r"train\.csv:1: 2 columns are called 'body'"):
        list(load(folder, "splits: {train: train}").corpus.rows())


def test_folder_of_save_to_disk_is_read(folder, datasets):
    shutil.rmtree(folder / "set")
    one = datasets.Dataset.from_dict({"body": [f"row {n}" for n in range(20)]})
    one.select(range(5, 20)).with_format("numpy").save_to_disk(folder / "set")
    task = load(folder, "splits: {train: train}")
    found = [row.texts[0] for row in task.corpus.rows()]
    assert sorted(found) == sorted(f"row {n}" for n in range(5, 20))
    before = task.corpus.fingerprint
    shutil.rmtree(folder / "set")
    both = datasets.DatasetDict({"train": one, "held_out": one.select([3, 1])})
    both.save_to_disk(folder / "set")
    task = load(folder)
    held_out = [row.texts[0] for row in task.corpus.rows() if row.split == "test"]
    assert held_out == ["row 3", "row 1"]
    assert task.corpus.fingerprint != before
    with pytest.raises(UserError) as error:
        list(load(folder, "splits: {test: dev}").corpus.rows())
    assert "it has no split 'dev', but train, held_out" in str(error.value)
    assert "hf auth" not in str(error.value)


def test_missing_data_set_is_reported(folder, datasets):
    task = load(folder)
    (folder / "set").rename(folder / "gone")
    with pytest.raises(UserError, match=r"there is no folder .*set; check the path"):
        task.examples("train")
    path = folder / "hubs.yaml"
    path.write_text(path.read_text().replace("./set", "nobody/nothing"))
    with pytest.raises(UserError, match="cannot read the data set nobody/nothing"):
        load_task(path).examples("train")


def test_old_datasets_library_is_refused(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(__version__="3.6.0"))
    with pytest.raises(UserError, match=r'pip install "datasets>=4"'):
        load(folder).examples("train")


def test_pinned_commit_needs_no_network_for_fingerprint(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    options = {"path": "a/b", "name": None, "revision": "0" * 40, "splits": {}}
    same = hub.fingerprint(options, folder)
    assert hub.fingerprint({**options, "revision": "1" * 40}, folder) != same
    for asked in ({"revision": "main"}, {"revision": None}, {"path": "./set"}):
        with pytest.raises(UserError, match=r'pip install "xlmgen\[hub\]"'):
            hub.fingerprint({**options, **asked}, folder)


@pytest.mark.parametrize(
    ("hub", "more", "message"),
    [
        ("split: {test: a}", "", "unknown key 'split'; did you mean 'splits'"),
        ("splits: {dev: a}", "", "unknown key 'dev'"),
        ("streaming: 'yes'", "", "source.hub.streaming"),
        ("name: 3", "", "source.hub.name"),
        ("name: a", "unit: line", "unknown key 'unit'"),
        ("name: a", "limit: {test: 3}", "test is a share of train"),
    ],
)
def test_mistakes_in_hub_source_are_reported(folder, hub, more, message):
    with pytest.raises(SpecError) as error:
        load(folder, hub, more)
    assert message in str(error.value)

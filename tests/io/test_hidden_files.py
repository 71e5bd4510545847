"""Hidden files of systems and tools are ignored."""

import json
import struct

import pytest

from xlmgen.comparison.measured import measured
from xlmgen.io.files import visible
from xlmgen.io.shards import Shards
from xlmgen.runs.checkpoint_folder import (
    Weights,
    evaluated_weights,
    weight_files,
)
from xlmgen.tasks.find import find_tasks

HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})
TENSORS = struct.pack("<Q", len(HEADER)) + HEADER.encode() + bytes(4)


@pytest.fixture
def checkpoint(tmp_path):
    """Make weights beside hidden files of macOS, a file manager and a download."""
    (tmp_path / "model.safetensors").write_bytes(TENSORS)
    (tmp_path / "._model.safetensors").write_bytes(b"\0\5\26\7")
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_visible_files_are_sorted(checkpoint):
    (checkpoint / "a.json").touch()
    assert [path.name for path in visible(checkpoint)] == [
        "a.json",
        "model.safetensors",
    ]


def test_weights_are_read_beside_hidden_files(checkpoint):
    shards = Shards.open(checkpoint)
    assert [file.name for file in shards.files] == ["model.safetensors"]
    assert list(evaluated_weights(checkpoint)) == ["model.safetensors"]
    names = [path.name for path in checkpoint.iterdir()]
    assert weight_files(names, Weights.raw) == ["model.safetensors"]


def test_results_are_read_beside_hidden_files(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "._test.json").write_bytes(b"\0\5\26\7")

    class Run:
        path = tmp_path

    assert measured(Run(), "test") == []


def test_hidden_files_are_not_tasks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "._mine.yaml").write_bytes(b"\0\5\26\7")
    assert not any(name.startswith(".") for name, _ in find_tasks())

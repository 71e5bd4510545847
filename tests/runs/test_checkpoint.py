"""Checkpoints: complete or absent, plain data, and only for a matching model."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xlmgen.errors import UserError
from xlmgen.runs.checkpoint import FolderCheckpoint, check_names, load_weights
from xlmgen.runs.checkpoint_folder import Weights, checkpoints, damage, folder_name


def checkpoint(step=5):
    table = torch.arange(6.0).reshape(2, 3)
    names = ("model.embed.weight", "model.head.weight")  # tied: one tensor, two names
    state = dict.fromkeys(names, table) | {"model.bias": torch.ones(2)}
    return {"state_dict": state, "global_step": step, "optimizer_states": [{"a": 1}]}


def test_save_and_load_round_trip_with_tied_weights(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    saved = checkpoint()
    io.save_checkpoint(saved, path)
    loaded = io.load_checkpoint(path)
    for name, tensor in saved["state_dict"].items():
        assert torch.equal(loaded["state_dict"][name], tensor)
    assert loaded["global_step"] == 5
    assert loaded["optimizer_states"] == [{"a": 1}]
    assert set(load_weights(path)) == {"embed.weight", "head.weight", "bias"}


def test_failed_save_keeps_existing_checkpoint(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    with pytest.raises(Exception, match="pickle"):
        io.save_checkpoint(checkpoint() | {"global_step": lambda: 0}, path)
    assert io.load_checkpoint(path)["global_step"] == 5
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_second_save_replaces_the_first(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    io.save_checkpoint(checkpoint() | {"epoch": 6}, path)
    assert io.load_checkpoint(path)["epoch"] == 6
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_folder_of_another_run_is_set_aside(tmp_path):
    path = tmp_path / folder_name(5)
    for run in ("theirs", "ours", "ours", "others"):
        FolderCheckpoint(run).save_checkpoint(checkpoint() | {"epoch": run}, path)
    saved = {p.name: FolderCheckpoint().load_checkpoint(p) for p in tmp_path.iterdir()}
    assert {name: state["epoch"] for name, state in saved.items()} == {
        "step=000005": "others",
        "step=000005.other": "theirs",
        "step=000005.other1": "ours",
    }
    assert list(checkpoints(tmp_path)) == [5]


def test_all_dtypes_are_readable_by_safetensors(tmp_path):
    path = tmp_path / folder_name(5)
    torch.manual_seed(0)
    kinds = (torch.bool, torch.uint8, torch.bfloat16, torch.float64, torch.int64)
    tensors = {str(kind): torch.randn(3, 5).to(kind) for kind in kinds}
    tensors |= {"none": torch.empty(0, 4), "one": torch.tensor(2.5)}
    tensors |= {"turned": torch.randn(4, 3).t(), "row": torch.randn(6, 2)[3]}
    state = {f"model.{name}": tensor for name, tensor in tensors.items()}
    FolderCheckpoint().save_checkpoint(checkpoint() | {"state_dict": state}, path)
    loaded = load_file(path / "model.safetensors")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor), name


def test_manifest_lists_written_files(tmp_path):
    path = tmp_path / folder_name(5)
    averaged = {"bias": torch.zeros(2)}
    FolderCheckpoint("a").save_checkpoint(checkpoint() | {"average": averaged}, path)
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["run"], manifest["step"]) == ("a", 5)
    files = {file.name: file.read_bytes() for file in path.iterdir()}
    del files["manifest.json"]
    assert set(files) == {"model.safetensors", "ema.safetensors", "state.pt"}
    assert manifest["files"] == {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("model.safetensors", cut, r"has \d+ bytes instead of \d+"),
        ("model.safetensors", flip, "checksum mismatch of .*"),
        ("ema.safetensors", flip, "checksum mismatch of .*"),
        ("state.pt", flip, "checksum mismatch of .*"),
        ("state.pt", Path.unlink, "is missing"),
        ("manifest.json", cut, "cannot be read"),
        ("manifest.json", Path.unlink, "is missing"),
    ],
)
def test_any_changed_byte_is_detected(tmp_path, file, spoil, said):
    path = tmp_path / folder_name(5)
    averaged = {"bias": torch.zeros(2)}
    FolderCheckpoint("a").save_checkpoint(checkpoint() | {"average": averaged}, path)
    assert damage(path, "a", 5) is None
    spoil(path / file)
    found = damage(path, "a", 5)
    assert file in found
    assert re.search(said, found)
    for weights, needed in (("raw", "model.safetensors"), ("ema", "ema.safetensors")):
        bad = damage(path, "a", 5, Weights(weights)) is not None
        assert bad == (file in (needed, "manifest.json"))


def test_checkpoint_of_another_run_or_step_is_not_ours(tmp_path):
    path = tmp_path / folder_name(5)
    FolderCheckpoint("a").save_checkpoint(checkpoint(), path)
    assert damage(path, "b", 5) == "it belongs to another run"
    assert damage(path, "a", 6) == "it is a copy of step 5"


def test_unfinished_checkpoints_are_not_listed(tmp_path):
    io = FolderCheckpoint()
    for step in (1_000_000, 20, 3):
        io.save_checkpoint(checkpoint(step), tmp_path / folder_name(step))
    (tmp_path / ".step=000060.123").mkdir()
    (tmp_path / "step=000070").write_text("a file")
    assert list(checkpoints(tmp_path)) == [3, 20, 1_000_000]
    assert checkpoints(tmp_path / "missing") == {}


def test_code_in_checkpoint_is_not_run(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    torch.save({"global_step": pytest.raises}, path / "state.pt")
    with pytest.raises(UserError, match=r"state\.pt cannot be read"):
        io.load_checkpoint(path)


@pytest.mark.parametrize("file", ["model.safetensors", "state.pt"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_damaged_file_is_named(tmp_path, file, damage):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    if damage == "cut":
        whole = (path / file).read_bytes()
        (path / file).write_bytes(whole[: len(whole) // 2])
    else:
        (path / file).unlink()
    with pytest.raises(UserError, match=file.replace(".", r"\.")):
        io.load_checkpoint(path)


def test_weights_of_another_model_are_refused_with_names():
    expected = {"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(4)}
    found = {"b": torch.ones(5), "c": torch.ones(4), "d": torch.ones(1)}
    with pytest.raises(UserError) as error:
        check_names(expected, found, "step=000005")
    for part in ("missing a", "unexpected d", "b has shape (5,), not (3,)"):
        assert part in str(error.value)
    assert "c " not in str(error.value).split("model:")[1]
    check_names(expected, expected, "step=000005")

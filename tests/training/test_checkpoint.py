"""Checkpoints: whole or not there, plain data, and only for the model they fit."""

import pytest
import torch

from xlmgen.errors import UserError
from xlmgen.training.checkpoint import FolderCheckpoint, check_names, load_weights
from xlmgen.training.checkpoint_folder import checkpoints, folder_name


def checkpoint(step=5):
    table = torch.arange(6.0).reshape(2, 3)
    names = ("model.embed.weight", "model.head.weight")  # tied: one tensor, two names
    state = dict.fromkeys(names, table) | {"model.bias": torch.ones(2)}
    return {"state_dict": state, "global_step": step, "optimizer_states": [{"a": 1}]}


def test_what_is_saved_is_loaded_with_tied_weights(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    saved = checkpoint()
    io.save_checkpoint(saved, path)
    loaded = io.load_checkpoint(path)
    for name, tensor in saved["state_dict"].items():
        assert torch.equal(loaded["state_dict"][name], tensor)
    assert loaded["global_step"] == 5
    assert loaded["optimizer_states"] == [{"a": 1}]
    assert set(load_weights(path)) == {"embed.weight", "head.weight", "bias"}


def test_a_save_that_fails_leaves_what_was_there(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    with pytest.raises(Exception, match="pickle"):
        io.save_checkpoint(checkpoint() | {"global_step": lambda: 0}, path)
    assert io.load_checkpoint(path)["global_step"] == 5
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_saving_again_replaces(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    io.save_checkpoint(checkpoint() | {"global_step": 6}, path)
    assert io.load_checkpoint(path)["global_step"] == 6
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_half_written_ones_are_not_listed(tmp_path):
    io = FolderCheckpoint()
    for step in (1_000_000, 20, 3):
        io.save_checkpoint(checkpoint(step), tmp_path / folder_name(step))
    (tmp_path / folder_name(50)).mkdir()
    (tmp_path / ".step=000060.123").mkdir()
    assert list(checkpoints(tmp_path)) == [3, 20, 1_000_000]
    assert checkpoints(tmp_path / "missing") == {}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    torch.save({"global_step": pytest.raises}, path / "state.pt")
    with pytest.raises(UserError, match=r"state\.pt cannot be read"):
        io.load_checkpoint(path)


@pytest.mark.parametrize("file", ["model.safetensors", "state.pt"])
@pytest.mark.parametrize("damage", ["cut", "missing"])
def test_damage_is_said_with_the_file(tmp_path, file, damage):
    io, path = FolderCheckpoint(), tmp_path / folder_name(5)
    io.save_checkpoint(checkpoint(), path)
    if damage == "cut":
        whole = (path / file).read_bytes()
        (path / file).write_bytes(whole[: len(whole) // 2])
    else:
        (path / file).unlink()
    with pytest.raises(UserError, match=file.replace(".", r"\.")):
        io.load_checkpoint(path)


def test_weights_of_another_model_are_refused_with_every_name():
    expected = {"a": torch.ones(2), "b": torch.ones(3), "c": torch.ones(4)}
    found = {"b": torch.ones(5), "c": torch.ones(4), "d": torch.ones(1)}
    with pytest.raises(UserError) as error:
        check_names(expected, found, "step=000005")
    for part in ("missing a", "unexpected d", "b has shape (5,), not (3,)"):
        assert part in str(error.value)
    assert "c " not in str(error.value).split("model:")[1]
    check_names(expected, expected, "step=000005")

"""Checkpoints as folders: `step=000500/{model.safetensors, state.pt}`.

A checkpoint is written to a temporary folder beside its place, forced to disk and
renamed, so that one that exists is whole. Loading one runs no code.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from xlmgen.errors import UserError
from xlmgen.shards import Shards
from xlmgen.training.checkpoint_folder import STATE, WEIGHTS

OTHER = "choose another checkpoint of the run with --checkpoint"
PREFIX = "model."
"""What the harness's names of the model's parameters start with."""


class Shaped(Protocol):
    """A tensor, or the place of one in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class FolderCheckpoint(CheckpointIO):
    """Lightning's checkpoints as folders of safetensors and plain data."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.mkdir()
        try:
            state = {k: v for k, v in checkpoint.items() if k != "state_dict"}
            _save_weights(checkpoint["state_dict"], temporary / WEIGHTS)
            torch.save(state, temporary / STATE)
            for file in (temporary / WEIGHTS, temporary / STATE, temporary):
                _sync(file)
            _replace(target, temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        folder = Path(path)
        weights = load_weights(folder)
        checkpoint = load_state(folder)
        checkpoint["state_dict"] = {PREFIX + k: v for k, v in weights.items()}
        return checkpoint

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        shutil.rmtree(path)


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The parameters of a checkpoint by the model's own names, on the CPU.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            aliases = json.loads((file.metadata() or {}).get("aliases", "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise _damaged(folder / WEIGHTS, error) from error
    return weights | {name: weights[of] for name, of in aliases.items()}


def load_into(model: nn.Module, folder: Path) -> None:
    """Give a model a checkpoint's parameters, one tensor in memory at a time.

    Parameters in another precision are converted to the model's.

    Raises:
        UserError: a file is missing or damaged, or the parameters do not fit.
    """
    try:
        shards = Shards.open(folder)
    except UserError as error:
        raise UserError(error.message, OTHER) from error
    parameters = model.state_dict()
    stored = {parameters[n].data_ptr() for n in shards.entries if n in parameters}
    wanted = {
        name: tensor
        for name, tensor in parameters.items()
        if name in shards.entries or tensor.data_ptr() not in stored  # tied to another
    }
    check_names(wanted, shards.entries, str(folder))
    for file in shards.files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    parameters[name].copy_(opened.get_tensor(name))
        except (OSError, SafetensorError) as error:
            raise _damaged(file, error) from error


def load_state(folder: Path) -> dict[str, Any]:
    """Everything of a checkpoint but the model's parameters.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the bytes lead it to
        raise _damaged(folder / STATE, error) from error
    assert isinstance(state, dict)
    return state


def check_names(
    expected: Mapping[str, Shaped], found: Mapping[str, Shaped], place: str
) -> None:
    """Refuse parameters that do not fit a model.

    Args:
        expected: what has a shape, by its name.
        found: the same of a checkpoint.
        place: where that is, for the error.

    Raises:
        UserError: lists every missing, unexpected and mis-shaped name.
    """
    missing = [f"missing {name}" for name in expected if name not in found]
    unexpected = [f"unexpected {name}" for name in found if name not in expected]
    shapes = [
        f"{name} has shape {tuple(found[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and tuple(found[name].shape) != tuple(tensor.shape)
    ]
    if problems := missing + unexpected + shapes:
        raise UserError(
            f"{place} does not fit the model: {', '.join(problems)}",
            "it was saved by another model or size",
        )


def _save_weights(state_dict: Mapping[str, Tensor], file: Path) -> None:
    # Safetensors refuses tensors that share memory: a tied one is stored once.
    owners: dict[int, str] = {}
    aliases: dict[str, str] = {}
    kept: dict[str, Tensor] = {}
    for prefixed, tensor in state_dict.items():
        name = prefixed.removeprefix(PREFIX)
        owner = owners.setdefault(tensor.data_ptr(), name) if tensor.numel() else name
        if owner == name:
            kept[name] = tensor.detach().cpu().contiguous()
        else:
            aliases[name] = owner
    save_file(kept, file, metadata={"format": "pt", "aliases": json.dumps(aliases)})


def _replace(target: Path, temporary: Path) -> None:
    """Rename a finished folder into place; an older one goes only after that."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    temporary.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _damaged(file: Path, error: Exception) -> UserError:
    what = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
    return UserError(f"{file} {what}", OTHER)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

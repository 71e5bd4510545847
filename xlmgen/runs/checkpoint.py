"""Checkpoints as folders: `step=000500/{model.safetensors, state.pt, manifest.json}`.

A checkpoint is written to a temporary folder, synced to disk and renamed, so one that
exists was complete, and its manifest shows whether it still is intact. If the weights
are averaged, `ema.safetensors` has the average. Loading a checkpoint runs no code.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, cast

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from xlmgen.errors import UserError
from xlmgen.io.files import writing
from xlmgen.io.json_input import parse_json
from xlmgen.io.manifest import FileDigest, HashedFile, write_manifest
from xlmgen.io.shards import Shards, header
from xlmgen.runs.checkpoint_folder import (
    EMA,
    STATE,
    WEIGHTS,
    Weights,
    about,
    is_ours,
    weight_files,
)

DAMAGE = (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError)
"""Exceptions from a damaged file."""
MOST_NAMED = 20
"""Most parameters that an error names."""
OTHER = "choose another checkpoint of the run with --checkpoint"
PREFIX = "model."
"""Prefix of the model's parameters in the harness."""
AVERAGE = "average"
"""Key of the averaged weights in a checkpoint, with the model's names."""
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names of data types in safetensors."""


class Shaped(Protocol):
    """A tensor, or the entry of one in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class FolderCheckpoint(CheckpointIO):
    """Lightning plugin that stores checkpoints as folders of safetensors and data.

    Args:
        run: id of the run that they belong to.
    """

    def __init__(self, run: str | None = None) -> None:
        self._run = run

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
        step = checkpoint["global_step"]
        try:
            with writing(target):
                digests = _write(checkpoint, temporary)
                write_manifest(temporary, about(self._run, step), digests)
                for file in (*temporary.iterdir(), temporary):
                    _sync(file)
                _replace(target, temporary, ours=is_ours(target, self._run, step))
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
        if (folder / EMA).exists():
            checkpoint[AVERAGE] = load_weights(folder, EMA)
        return checkpoint

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        folder = Path(path)
        removed = folder.with_name(f".{folder.name}.old")
        folder.rename(removed)  # atomic: a kill leaves no partial checkpoint
        shutil.rmtree(removed)


def load_weights(folder: Path, name: str = WEIGHTS) -> dict[str, Tensor]:
    """Load the parameters of a checkpoint by the model's names, on the CPU.

    Args:
        folder: of the checkpoint.
        name: of the file.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with safe_open(folder / name, framework="pt") as file:
            aliases = parse_json((file.metadata() or {}).get("aliases", "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return weights | {name: weights[of] for name, of in aliases.items()}
    except DAMAGE as error:
        raise _damaged(folder / name, error) from error


def load_into(model: nn.Module, folder: Path, weights: Weights = Weights.raw) -> None:
    """Load a checkpoint into a model, one tensor in memory at a time.

    Parameters are converted to the precision of the model.

    Args:
        model: to load into.
        folder: of the checkpoint.
        weights: raw or averaged.

    Raises:
        UserError: a file is missing or damaged, or the parameters do not fit.
    """
    try:
        names = [file.name for file in folder.iterdir()]
        shards = Shards.open(folder, weight_files(names, weights))
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
        except DAMAGE as error:
            raise _damaged(file, error) from error


def load_state(folder: Path) -> dict[str, Any]:
    """Load everything of a checkpoint but the model's parameters.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch.load raise any exception
        raise _damaged(folder / STATE, error) from error
    assert isinstance(state, dict)
    return state


def check_names(
    expected: Mapping[str, Shaped], found: Mapping[str, Shaped], place: str
) -> None:
    """Refuse parameters that do not fit a model.

    Args:
        expected: tensors or entries of the model, by name.
        found: those of the checkpoint.
        place: location of the checkpoint, for the error.

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
        raise misfit(place, problems)


def misfit(place: str, problems: Sequence[str]) -> UserError:
    """The error for weights that do not fit a model, with the first problems."""
    more = len(problems) - MOST_NAMED
    listed = ", ".join(problems[:MOST_NAMED]) + f" and {more} more" * (more > 0)
    return UserError(
        f"{place} does not fit the model: {listed}",
        "it was saved by another model or size",
    )


def _write(checkpoint: Mapping[str, Any], folder: Path) -> dict[str, FileDigest]:
    """Write the files of a checkpoint; returns their digests."""
    raw = {k.removeprefix(PREFIX): v for k, v in checkpoint["state_dict"].items()}
    digests = {WEIGHTS: _save_weights(raw, folder / WEIGHTS)}
    if AVERAGE in checkpoint:
        digests[EMA] = _save_weights(checkpoint[AVERAGE], folder / EMA)
    apart = ("state_dict", AVERAGE)
    state = {k: v for k, v in checkpoint.items() if k not in apart}
    with HashedFile(folder / STATE) as file:
        try:
            torch.save(state, cast("IO[bytes]", file))
        except RuntimeError as error:
            # On an error PyTorch closes its archive, which raises again.
            raise file.error or error from error
        return digests | {STATE: file.digest}


def _save_weights(tensors: Mapping[str, Tensor], path: Path) -> FileDigest:
    """Write a safetensors file, one tensor in the CPU's memory at a time."""
    # A tied tensor is stored once; its other names are in the metadata.
    owners: dict[int, str] = {}
    aliases: dict[str, str] = {}
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        owner = owners.setdefault(tensor.data_ptr(), name) if tensor.numel() else name
        if owner == name:
            kept[name] = tensor.detach()
        else:
            aliases[name] = owner
    # Largest element size first, so that all tensors are aligned.
    ordered = dict(sorted(kept.items(), key=lambda pair: -pair[1].element_size()))
    layout = {n: (DTYPES[t.dtype], t.shape, t.nbytes) for n, t in ordered.items()}
    with HashedFile(path) as file:
        file.write(header(layout, {"aliases": json.dumps(aliases)}))
        for tensor in filter(torch.Tensor.numel, ordered.values()):
            numbers = tensor.cpu().contiguous().flatten().view(torch.uint8).numpy()
            file.write(numbers.data)
        return file.digest


def _replace(target: Path, temporary: Path, *, ours: bool) -> None:
    """Rename a finished folder into place, and then remove an older one.

    A folder that another run wrote is renamed and kept.
    """
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old if ours else _free(target.with_name(f"{target.name}.other")))
    temporary.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _free(path: Path) -> Path:
    """An unused path: this one, or with a number appended."""
    names = (path.with_name(f"{path.name}{n or ''}") for n in itertools.count())
    return next(name for name in names if not name.exists())


def _damaged(file: Path, error: Exception) -> UserError:
    problem = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
    return UserError(f"{file} {problem}", OTHER)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A run's `checkpoints/` folder: its checkpoints, their damage, and the best one.

No torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from xlmgen.io.files import visible, write_json
from xlmgen.io.json_input import Schema, read_object
from xlmgen.io.manifest import MANIFEST, Manifest, problem, read_manifest
from xlmgen.io.shards import INDEX

WEIGHTS, EMA, STATE = "model.safetensors", "ema.safetensors", "state.pt"
IMPORTED = "imported.json"
"""Origin of imported weights, in place of `state.pt`.

The run folder has a copy, which shows that there was a checkpoint if it is gone.
"""
BEST = "best.json"
"""File next to the checkpoints with the best step and its validation loss."""
MONITOR = "val/loss"
BEST_SCHEMA: Schema = {
    "required": ["step"],
    "properties": {"step": {"type": "integer"}},
}
_NAME = re.compile(r"step=(\d+)")


class Weights(StrEnum):
    """Raw or averaged weights of a checkpoint."""

    raw = "raw"
    ema = "ema"


def folder_name(step: int) -> str:
    return f"step={step:06d}"


def checkpoints(folder: Path) -> dict[int, Path]:
    """Checkpoints of a `checkpoints/` folder by ascending step, intact or not."""
    found = {
        int(match[1]): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and (match := _NAME.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def about(run: str | None, step: int) -> dict[str, Any]:
    """Entries of a checkpoint's manifest besides its files.

    Args:
        run: id of the run that it belongs to.
        step: of the checkpoint.
    """
    return {"run": run, "step": step}


def is_ours(folder: Path, run: str | None, step: int) -> bool:
    """Whether a folder is this run's checkpoint of a step."""
    manifest = read_manifest(folder)
    return manifest is not None and _mismatch(manifest, run, step) is None


def damage(
    folder: Path, run: str | None, step: int, weights: Weights | None = None
) -> str | None:
    """Description of the damage of a checkpoint; None if it is intact.

    Args:
        folder: of the checkpoint.
        run: id of the run that it should belong to.
        step: that it should be of.
        weights: check only the files of these weights, as for an evaluation.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        exists = (folder / MANIFEST).exists()
        return f"{MANIFEST} {'cannot be read' if exists else 'is missing'}"
    files = manifest.files
    if weights is not None:
        files = {name: files[name] for name in weight_files(files, weights)}
        if not files:
            return f"it has no {weights} weights"
    return _mismatch(manifest, run, step) or problem(folder, files)


def weight_files(names: Iterable[str], weights: Weights) -> list[str]:
    """Names of a checkpoint's files with the raw or averaged weights."""
    tensors = [
        name
        for name in sorted(names)
        if name.endswith(".safetensors") and not name.startswith(".")
    ]
    return [name for name in tensors if (name == EMA) == (weights is Weights.ema)]


def _mismatch(manifest: Manifest, run: str | None, step: int) -> str | None:
    """Reason why a checkpoint is not this run's of a step; None if it is."""
    if manifest.about.get("run") != run:
        return "it belongs to another run"
    if manifest.about.get("step") != step:
        return f"it is a copy of step {manifest.about.get('step')}"
    return None


def evaluated_weights(checkpoint: Path) -> dict[str, Path]:
    """Files of the weights that `eval` reads, by their names in a published checkpoint.

    These are the averaged weights if there are any.
    """
    if (checkpoint / EMA).is_file():
        return {WEIGHTS: checkpoint / EMA}
    files = (*visible(checkpoint, "*.safetensors"), checkpoint / INDEX)
    return {file.name: file for file in files if file.is_file()}


def best_step(folder: Path) -> int | None:
    """Step of the best checkpoint; None before the first validation.

    Raises:
        UserError: the file that names it is damaged.
    """
    file = folder / BEST
    if not file.exists():
        return None
    fix = "name a checkpoint with --checkpoint last or a step, or delete the file"
    step: int = read_object(file, fix, BEST_SCHEMA)["step"]
    return step


def mark_best(folder: Path, step: int, loss: float) -> None:
    """Record the step and validation loss of the best checkpoint."""
    write_json(folder / BEST, {"step": step, MONITOR: loss})


def unmark_best(folder: Path) -> None:
    """Remove the record of the best checkpoint, which does not exist."""
    (folder / BEST).unlink(missing_ok=True)

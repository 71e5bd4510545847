"""A run's `checkpoints/` folder: which there are, whole or not, and which is the best.

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
"""In place of `state.pt` where the weights come from elsewhere: what they were.

The run folder has a copy, which shows that there was a checkpoint where it is gone.
"""
BEST = "best.json"
"""Beside the checkpoints: the step of the best one and its validation loss."""
MONITOR = "val/loss"
BEST_SCHEMA: Schema = {
    "required": ["step"],
    "properties": {"step": {"type": "integer"}},
}
_NAME = re.compile(r"step=(\d+)")


class Weights(StrEnum):
    """Which of a checkpoint's weights."""

    raw = "raw"
    ema = "ema"


def folder_name(step: int) -> str:
    return f"step={step:06d}"


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints of a `checkpoints/` folder by step, in order, whole or not."""
    found = {
        int(match[1]): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_dir() and (match := _NAME.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def about(run: str | None, step: int) -> dict[str, Any]:
    """What the manifest of a checkpoint says beside its files.

    Args:
        run: the id of the run that it belongs to.
    """
    return {"run": run, "step": step}


def is_ours(folder: Path, run: str | None, step: int) -> bool:
    """Whether a run wrote a folder as its checkpoint of a step."""
    manifest = read_manifest(folder)
    return manifest is not None and _whose(manifest, run, step) is None


def damage(
    folder: Path, run: str | None, step: int, weights: Weights | None = None
) -> str | None:
    """What is wrong with a checkpoint; None where it is whole.

    Args:
        run: the id of the run that it should belong to.
        weights: look at the files of these only, which is what an evaluation reads.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        there = (folder / MANIFEST).exists()
        return f"{MANIFEST} {'cannot be read' if there else 'is missing'}"
    files = manifest.files
    if weights is not None:
        files = {name: files[name] for name in weight_files(files, weights)}
        if not files:
            return f"it has no {weights} weights"
    return _whose(manifest, run, step) or problem(folder, files)


def weight_files(names: Iterable[str], weights: Weights) -> list[str]:
    """Those of the names of a checkpoint's files that hold the raw or averaged ones."""
    tensors = [
        name
        for name in sorted(names)
        if name.endswith(".safetensors") and not name.startswith(".")
    ]
    return [name for name in tensors if (name == EMA) == (weights is Weights.ema)]


def _whose(manifest: Manifest, run: str | None, step: int) -> str | None:
    """Why a checkpoint is not the run's one of a step; None where it is."""
    if manifest.about.get("run") != run:
        return "it belongs to another run"
    if manifest.about.get("step") != step:
        return f"it is a copy of step {manifest.about.get('step')}"
    return None


def evaluated_weights(checkpoint: Path) -> dict[str, Path]:
    """The files of the weights that `eval` reads, by their names as a checkpoint alone.

    They are those of the moving average, where the checkpoint has one.
    """
    if (checkpoint / EMA).is_file():
        return {WEIGHTS: checkpoint / EMA}
    files = (*visible(checkpoint, "*.safetensors"), checkpoint / INDEX)
    return {file.name: file for file in files if file.is_file()}


def best_step(folder: Path) -> int | None:
    """The step of the best checkpoint, or None before the first validation.

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
    """Write down which checkpoint is the best."""
    write_json(folder / BEST, {"step": step, MONITOR: loss})


def unmark_best(folder: Path) -> None:
    """Forget which checkpoint is the best: it is not there."""
    (folder / BEST).unlink(missing_ok=True)

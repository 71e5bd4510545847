"""A run's `checkpoints/` folder: which there are, and which is the best; no torch."""

from __future__ import annotations

import json
import re
from pathlib import Path

from xlmgen.files import write_json

WEIGHTS, STATE = "model.safetensors", "state.pt"
IMPORTED = "imported.json"
"""In place of `state.pt` where the weights come from elsewhere: what they were."""
BEST = "best.json"
"""Beside the checkpoints: the step of the best one and its validation loss."""
MONITOR = "val/loss"
_NAME = re.compile(r"step=(\d+)")


def folder_name(step: int) -> str:
    return f"step={step:06d}"


def checkpoints(folder: Path) -> dict[int, Path]:
    """The whole checkpoints of a `checkpoints/` folder by step, in order."""
    found = {
        int(match[1]): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := _NAME.fullmatch(path.name))
        and ((path / STATE).is_file() or (path / IMPORTED).is_file())
    }
    return dict(sorted(found.items()))


def best_step(folder: Path) -> int | None:
    """The step of the best checkpoint, or None before the first validation."""
    file = folder / BEST
    if not file.is_file():
        return None
    return int(json.loads(file.read_text(encoding="utf-8"))["step"])


def mark_best(folder: Path, step: int, loss: float) -> None:
    """Write down which checkpoint is the best."""
    write_json(folder / BEST, {"step": step, MONITOR: loss})

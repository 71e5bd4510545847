"""State of a sweep's run, read from its folder; no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xlmgen.evaluation.request import EvaluationRequest
from xlmgen.io.files import write_text
from xlmgen.io.json_input import read_object
from xlmgen.runs.checkpoint_folder import best_step, checkpoints
from xlmgen.runs.folder import check_same
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import METRICS, THROUGHPUT, Run, is_run
from xlmgen.sweeps.sweep import SweepRun

VALIDATION = "val/"


@dataclass(frozen=True)
class State:
    """How far a run has come.

    Args:
        step: number of optimiser steps taken.
        validation: metrics of the last validation, without `val/`.
        steps_per_second: at the last row; None before the first.
    """

    step: int
    validation: Mapping[str, float]
    steps_per_second: float | None

    @classmethod
    def of(cls, run: SweepRun) -> State:
        """Read the metrics of a run, which may not have begun."""
        rows = read_rows(run.path / METRICS)
        validated = [row for row in rows if any(k.startswith(VALIDATION) for k in row)]
        last = validated[-1] if validated else {}
        speeds = read_rows(run.path / THROUGHPUT)
        speed = float(speeds[-1].get("speed/steps_per_s", 0)) if speeds else 0.0
        return cls(
            int(rows[-1]["step"]) if rows else 0,
            {
                name.removeprefix(VALIDATION): float(value)
                for name, value in last.items()
                if name.startswith(VALIDATION)
            },
            speed or None,
        )


def is_trained(run: SweepRun) -> bool:
    """Whether a run has been trained to its end with these settings.

    Raises:
        UserError: the folder has a run with other settings.
    """
    if not is_run(run.path):
        return False
    check_same(Run.open(run.path), run.experiment)
    mark = _mark(run)
    return mark.is_file() and mark.read_text("utf-8") == _settings(run)


def mark_trained(run: SweepRun) -> None:
    """Note beside a run's folder that its training has ended, early or at its end."""
    write_text(_mark(run), _settings(run))


def _mark(run: SweepRun) -> Path:
    return run.path.with_name(f".{run.path.name}.trained")


def _settings(run: SweepRun) -> str:
    """Digest of the settings: with others, such as more steps, training goes on."""
    text = json.dumps(run.experiment.data, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_evaluated(run: SweepRun, request: EvaluationRequest) -> bool:
    """Whether the checkpoint that `xlmgen eval` would use has been evaluated."""
    file = run.path / "results" / f"{request.result_name}.json"
    if not file.is_file():
        return False
    folder = run.path / "checkpoints"
    step = best_step(folder) or max(checkpoints(folder), default=None)
    return bool(read_object(file, "delete it").get("step") == step)

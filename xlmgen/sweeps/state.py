"""State of a sweep's run, read from its folder; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xlmgen.evaluation.request import EvaluationRequest
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
    """Whether a run has a checkpoint of its last step.

    A run that ended early has none; training it again ends at once.

    Raises:
        UserError: the folder has a run with other settings.
    """
    if not is_run(run.path):
        return False
    check_same(Run.open(run.path), run.experiment)
    last = max(checkpoints(run.path / "checkpoints"), default=0)
    return last >= run.experiment.training.max_steps


def is_evaluated(run: SweepRun, request: EvaluationRequest) -> bool:
    """Whether the checkpoint that `xlmgen eval` would use has been evaluated."""
    file = run.path / "results" / f"{request.result_name}.json"
    if not file.is_file():
        return False
    folder = run.path / "checkpoints"
    step = best_step(folder) or max(checkpoints(folder), default=None)
    return bool(read_object(file, "delete it").get("step") == step)

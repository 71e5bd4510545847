"""Log generated answers of a validation with the loggers that show texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from lightning.pytorch.loggers import Logger

from xlmgen.data.task import Task
from xlmgen.evaluation.predictions import prediction_rows

SAMPLES = 4
"""Number of answers of every validation."""
TAG = "val/samples"
COLUMNS = ("prompt", "prediction", "target", "correct")


@runtime_checkable
class SampleLogger(Protocol):
    """A logger that shows texts."""

    def log_samples(self, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log answers; each row has the keys `COLUMNS`."""


def shows_samples(loggers: Iterable[Logger]) -> bool:
    """Whether a logger shows texts."""
    return any(isinstance(logger, SampleLogger) for logger in loggers)


def log_samples(
    loggers: Iterable[Logger],
    task: Task,
    examples: Sequence[Mapping[str, Any]],
    answers: Sequence[Sequence[int]],
    step: int,
) -> None:
    """Log the first answers of a validation.

    Args:
        examples, answers: of the same rows.
        step: of the optimiser.
    """
    some = (examples[:SAMPLES], answers[:SAMPLES])
    rows = [
        {key: row.get(key, "") for key in COLUMNS}  # texts have no target
        for row in prediction_rows(task, *some, scores={}, orders={})
    ]
    for logger in loggers:
        if isinstance(logger, SampleLogger):
            logger.log_samples(rows, step)

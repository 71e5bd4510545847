"""Ending a run whose validations no longer improve."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from xlmgen.errors import UserError
from xlmgen.spec.messages import did_you_mean
from xlmgen.training.recorder import Recorder


class Patience(Callback):
    """Makes the step of a validation the last one when too many brought nothing.

    It counts also while nothing ends a run, so that patience can be given later.

    Args:
        recorder: whose validations are counted.
        patience: validations in a row without an improvement that end the run; None
            never does.
        metric: what is to improve.
        rises: whether larger is better.
    """

    def __init__(
        self, recorder: Recorder, patience: int | None, metric: str, *, rises: bool
    ) -> None:
        super().__init__()
        self._recorder = recorder
        self._patience = patience
        self._metric = metric
        self._sign = -1.0 if rises else 1.0
        self._best, self._best_step, self._since = math.inf, 0, 0

    @property
    def lost(self) -> bool:
        """Whether the run has ended for want of improvement."""
        return self._patience is not None and self._since >= self._patience

    @property
    def reason(self) -> str:
        """What has not improved, and how to go on."""
        validations = "validation" if self._since == 1 else "validations"
        best = (
            f"since {self._sign * self._best:.4f} at step {self._best_step}"
            if self._best_step
            else "and was never a number"
        )
        return (
            f"{self._metric} has not improved in {self._since} {validations} {best} "
            f"(training.patience is {self._patience}); to go on, raise it or set "
            "training.patience=null"
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        value = self._sign * self._recorder.validation[self._metric]
        if value < self._best:
            self._best, self._best_step, self._since = value, trainer.global_step, 0
        else:  # or it is NaN
            self._since += 1
        if self.lost:
            # To stop any other way makes Lightning validate once more.
            trainer.fit_loop.epoch_loop.max_steps = trainer.global_step

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self._best,
            "best_step": self._best_step,
            "since": self._since,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]
        self._best_step = state_dict["best_step"]
        self._since = state_dict["since"]


def rises(metric: str, falling: Collection[str], rising: Collection[str]) -> bool:
    """Whether larger values of the metric that patience looks at are better.

    Args:
        metric: its name.
        falling: what the loss and the family's own metrics are called.
        rising: what the scores of generated answers are called.

    Raises:
        UserError: a validation has no such metric.
    """
    known = [f"val/{name}" for name in (*falling, *rising)]
    if metric not in known:
        guess = did_you_mean(metric, known)
        raise UserError(
            f"training.patience_metric: a validation has no '{metric}'",
            f"{guess} it has {', '.join(known)}".strip(),
        )
    return metric in known[len(falling) :]

"""End a run whose validations no longer improve."""

from __future__ import annotations

import math
from typing import Any

from xlmgen.training.early_end import EarlyEnd
from xlmgen.training.recorder import Recorder


class Patience(EarlyEnd):
    """Ends a run after `patience` validations in a row without an improvement.

    Validations are also counted without a patience, so that a continued run can set
    one.

    Args:
        recorder: its validations are counted.
        patience: number of validations; None never ends a run.
        metric: the metric that should improve.
        rises: whether larger values are better.
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
    def over(self) -> bool:
        return self._patience is not None and self._since >= self._patience

    @property
    def reason(self) -> str:
        validations = "validation" if self._since == 1 else "validations"
        best = (
            f"since {self._sign * self._best:.4f} at step {self._best_step}"
            if self._best_step
            else "and was never finite"
        )
        return (
            f"{self._metric} has not improved in {self._since} {validations} {best} "
            f"(training.patience is {self._patience}); to continue, raise it or set "
            "training.patience=null"
        )

    def update(self, step: int) -> None:
        value = self._sign * self._recorder.validation[self._metric]
        if value < self._best:
            self._best, self._best_step, self._since = value, step, 0
        else:  # also for NaN
            self._since += 1

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

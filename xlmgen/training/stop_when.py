"""End a run whose validation has reached a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.training.early_end import EarlyEnd
from xlmgen.training.recorder import Recorder


@dataclass(frozen=True)
class Target:
    """Target value of a validation's metric, and whether larger values are better."""

    value: float
    rises: bool

    def is_reached(self, value: float) -> bool:
        """Whether a value reaches the target; NaN does not."""
        return value >= self.value if self.rises else value <= self.value


class StopWhen(EarlyEnd):
    """Ends a run at the first validation that reaches every target.

    The latest validation is part of its state, so that a run that continues with
    another target behaves like one that had this target from the start.

    Args:
        recorder: its validations are compared with the targets.
        targets: by the metric's name; without targets a run continues to `max_steps`.
    """

    def __init__(self, recorder: Recorder, targets: Mapping[str, Target]) -> None:
        super().__init__()
        self._recorder = recorder
        self._targets = targets
        self._latest: dict[str, float] = {}

    @property
    def over(self) -> bool:
        return bool(self._latest and self._targets) and all(
            target.is_reached(self._latest[name])
            for name, target in self._targets.items()
        )

    @property
    def reason(self) -> str:
        found = ", ".join(f"{name} is {self._latest[name]:g}" for name in self._targets)
        targets = ", ".join(f"{key}: {t.value:g}" for key, t in self._targets.items())
        return (
            f"{found} (training.stop_when is {{{targets}}}); to continue, change it or "
            "set training.stop_when={}"
        )

    def update(self, step: int) -> None:
        self._latest = dict(self._recorder.validation)

    def state_dict(self) -> dict[str, Any]:
        return {"latest": self._latest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._latest = state_dict["latest"]

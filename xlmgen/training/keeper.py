"""Which checkpoints are saved and kept: the last, the best, and every n steps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from xlmgen.training.checkpoint_folder import (
    MONITOR,
    best_step,
    checkpoints,
    folder_name,
    mark_best,
)
from xlmgen.training.recorder import Recorder, ends_step


class CheckpointKeeper(Callback):
    """Saves a checkpoint every `every` steps, at the end, and when val/loss improves.

    Args:
        folder: the run's `checkpoints/`.
        recorder: its validation losses decide which is best. It must come earlier in
            the trainer's callbacks.
        every: in optimiser steps.
        keep: how many to keep beside the last and the best; None keeps all.
        always: a step that gets a checkpoint, which is kept.
    """

    def __init__(
        self,
        folder: Path,
        recorder: Recorder,
        *,
        every: int,
        keep: int | None,
        always: int | None = None,
    ) -> None:
        super().__init__()
        self.saved_at = 0
        self._folder = folder
        self._recorder = recorder
        self._every = every
        self._keep = keep
        self._always = always
        self._best = math.inf
        self._validation_missing = False

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        step = trainer.global_step
        improved = self._improved(step)
        due = step % self._every == 0 or step in (self._always, trainer.max_steps)
        if improved or due:
            self.save(trainer)
        if improved:
            self._mark_best(trainer)
        self._remove_old(trainer)

    def save(self, trainer: Trainer, *, validation_missing: bool = False) -> None:
        """Save the state after the latest step, unless that is done.

        Args:
            validation_missing: a validation was due at this step and did not end; a
                run that continues from here begins with it.

        Raises:
            NotFinite: a step since the last row was not finite, and the run stops.
        """
        step = trainer.global_step
        if step == self.saved_at:
            return
        self._recorder.check(trainer)
        self._validation_missing = validation_missing
        trainer.save_checkpoint(self._folder / folder_name(step))
        self.saved_at = step

    def _improved(self, step: int) -> bool:
        if self._recorder.validated_at != step:
            return False
        loss = self._recorder.validation[MONITOR]
        if not loss < self._best:
            return False
        self._best = loss
        return True

    def _mark_best(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            mark_best(self._folder, trainer.global_step, self._best)

    def _remove_old(self, trainer: Trainer) -> None:
        if self._keep is None or not trainer.is_global_zero:
            return
        found = checkpoints(self._folder)
        kept = {self.saved_at, best_step(self._folder), self._always}
        others = [step for step in found if step not in kept]
        for step in others[: max(0, len(others) - self._keep)]:
            trainer.strategy.remove_checkpoint(found[step])

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "validation_missing": self._validation_missing}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]
        self._validation_missing = state_dict["validation_missing"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make up for the validation that an interrupt cut short."""
        self.saved_at = trainer.global_step
        if self._validation_missing:
            self._recorder.validate(trainer)
            if self._improved(trainer.global_step):
                self._mark_best(trainer)

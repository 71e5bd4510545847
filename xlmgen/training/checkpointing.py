"""Checkpoint callback: save and keep the last, the best, and one every n steps."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from xlmgen.errors import UserError
from xlmgen.runs.checkpoint_folder import (
    MONITOR,
    best_step,
    checkpoints,
    folder_name,
    is_ours,
    mark_best,
    unmark_best,
)
from xlmgen.training.harness import Harness
from xlmgen.training.recorder import Recorder
from xlmgen.training.step_callback import StepCallback


class CheckpointCallback(StepCallback):
    """Saves a checkpoint every `every` steps, at the end, and when val/loss improves.

    Args:
        folder: the run's `checkpoints/`.
        recorder: its validation losses decide which checkpoint is best. It must come
            earlier in the trainer's callbacks.
        run: the run's id; only checkpoints with this id are removed.
        every: in optimiser steps.
        keep: number of checkpoints to keep beside the last and the best; None keeps
            all.
        keep_every: a checkpoint is also saved at every multiple of this number of
            steps, and is never removed.
        always: one more step whose checkpoint is saved and never removed.
    """

    def __init__(
        self,
        folder: Path,
        recorder: Recorder,
        run: str | None,
        *,
        every: int,
        keep: int | None,
        keep_every: int | None,
        always: int | None = None,
    ) -> None:
        super().__init__()
        self.saved_at = 0
        self._folder = folder
        self._recorder = recorder
        self._run = run
        self._every = every
        self._keep = keep
        self._keep_every = keep_every
        self._always = always
        self._best = math.inf
        self._best_at: int | None = None
        self._validation_missing = False

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        step = trainer.global_step
        improved = self._improved(step)
        due = step % self._every == 0 or self._for_good(step)
        if improved or due or step == trainer.max_steps:
            self.save(trainer)

    def save(self, trainer: Trainer, *, validation_missing: bool = False) -> None:
        """Save the latest step, unless it is saved already; remove old checkpoints.

        Args:
            validation_missing: a validation was due at this step and did not end; a
                run that continues from this checkpoint starts with this validation.

        Raises:
            NotFinite: a step since the last row was not finite, which ends the run.
        """
        step = trainer.global_step
        if step == self.saved_at:
            return
        self._recorder.check(trainer)
        self._validation_missing = validation_missing
        trainer.save_checkpoint(self._folder / folder_name(step))
        self.saved_at = step
        if trainer.is_global_zero:
            self._mark_best()
            self._remove_old(trainer)

    def _improved(self, step: int) -> bool:
        if self._recorder.validated_at != step:
            return False
        loss = self._recorder.validation[MONITOR]
        if not loss < self._best:
            return False
        self._best, self._best_at = loss, step
        return True

    def _mark_best(self) -> None:
        """Update `best.json` if it does not name this run's best checkpoint."""
        step = self._best_at
        with suppress(UserError):  # a damaged file is written again
            if best_step(self._folder) == step:
                return
        if step is not None and step in checkpoints(self._folder):
            mark_best(self._folder, step, self._best)
        else:
            unmark_best(self._folder)

    def _for_good(self, step: int) -> bool:
        if step == self._always:
            return True
        return self._keep_every is not None and step % self._keep_every == 0

    def _remove_old(self, trainer: Trainer) -> None:
        if self._keep is None:
            return
        found = checkpoints(self._folder)
        best = best_step(self._folder)
        others = [
            step
            for step in found
            # Checkpoints of later steps were damaged; the run writes them again.
            if step < self.saved_at and step != best and not self._for_good(step)
        ]
        for step in others[: max(0, len(others) - self._keep)]:
            if is_ours(found[step], self._run, step):
                trainer.strategy.remove_checkpoint(found[step])

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self._best,
            "best_at": self._best_at,
            "validation_missing": self._validation_missing,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]
        self._best_at = state_dict["best_at"]
        self._validation_missing = state_dict["validation_missing"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Repeat the validation that an interrupt cut short."""
        self.saved_at = trainer.global_step
        if self._validation_missing:
            self._recorder.validate(trainer)
            self._improved(trainer.global_step)
        if trainer.is_global_zero:
            self._mark_best()

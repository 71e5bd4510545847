"""Ctrl-C, SIGTERM and SIGUSR1: finish the step, save a checkpoint, stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer

from xlmgen.training.checkpointing import CheckpointCallback
from xlmgen.training.harness import Harness
from xlmgen.training.signals import Interrupted, handle
from xlmgen.training.step_callback import StepCallback


class StopOnSignal(StepCallback):
    """Saves a checkpoint and raises `Interrupted` at the end of the step of a signal.

    A second Ctrl-C stops at once without saving. This callback must be the last of the
    trainer's callbacks.
    """

    def __init__(self, checkpoints: CheckpointCallback) -> None:
        super().__init__()
        self.signum: int | None = None
        self._checkpoints = checkpoints

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        handle(self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise Interrupted(signum, saved=False)
        self.signum = signum

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        signum = self.signum or 0
        if trainer.world_size > 1:
            # One process may receive the signal a step earlier than another.
            received = torch.tensor(signum, device=trainer.strategy.root_device)
            signum = int(trainer.strategy.reduce(received, reduce_op="max"))
        if signum:
            self._checkpoints.save(trainer)
            raise Interrupted(signum, saved=True)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.leave_validation_if_asked(trainer)

    def leave_validation_if_asked(self, trainer: Trainer) -> None:
        """Stop in the middle of a validation if a signal has arrived.

        Several processes finish the validation first: they wait for each other in it.

        Raises:
            Interrupted: a signal has arrived; the state is saved.
        """
        if self.signum is None or trainer.world_size > 1:
            return
        harness = trainer.lightning_module
        assert isinstance(harness, Harness)
        harness.end_validation()
        self._checkpoints.save(trainer, validation_missing=True)
        raise Interrupted(self.signum, saved=True)

"""Base class of callbacks that act after batches and optimiser steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from xlmgen.training.harness import Harness


class StepCallback(Callback):
    """A callback that is called after each batch and after each optimiser step.

    With accumulation a step has several batches. The last one calls `after_batch`
    first, then `after_step`.
    """

    def after_batch(
        self, trainer: Trainer, batch: Mapping[str, Any], loss: Tensor
    ) -> None:
        """Called after the backward pass of a batch.

        Args:
            loss: (), the batch's share of the step's mean loss, on the device.
        """

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        """Called after step `trainer.global_step` of the optimiser."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        assert isinstance(pl_module, Harness)
        self.after_batch(trainer, batch, outputs["loss"])
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.after_step(trainer, pl_module)

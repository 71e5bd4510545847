"""What a run records, and when: the mean training loss, validation, generations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from xlmgen.harness import Harness
from xlmgen.training.optimizer import learning_rate_factor

Scorer = Callable[[Trainer, Harness], Mapping[str, float]]
"""Generates and scores answers with a harness's model: exact match and the like."""


class Recorder(Callback):
    """Logs every `log_every` steps and validates every `validate_every` and at the end.

    Args:
        log_every, validate_every: in optimiser steps.
        scorer: what to add to a validation's losses; None adds nothing.

    `train` and `validation` hold the latest numbers, for checkpoints and progress;
    `headline` those of a validation that a person wants to see go by.
    """

    def __init__(
        self, log_every: int, validate_every: int, scorer: Scorer | None = None
    ) -> None:
        super().__init__()
        self.train: dict[str, float] = {}
        self.validation: dict[str, float] = {}
        self.headline: dict[str, float] = {}
        self.logged_at: int | None = None
        self.validated_at: int | None = None
        self._log_every = log_every
        self._validate_every = validate_every
        self._scorer = scorer
        self._sum: Tensor | None = None
        self._steps = 0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # Lightning has divided the loss by the batches of a step: their sum is its mean
        loss = outputs["loss"].float()
        self._sum = loss if self._sum is None else self._sum + loss
        if not ends_step(trainer, batch_idx):
            return
        self._steps += 1
        step = trainer.global_step
        if step % self._log_every == 0 or step == trainer.max_steps:
            self._log_training(trainer, pl_module)
        if step % self._validate_every == 0 or step == trainer.max_steps:
            self.validate(trainer)

    def _log_training(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Harness)
        assert self._sum is not None
        settings, step = pl_module.training_settings, trainer.global_step
        factor = learning_rate_factor(settings)
        mean = trainer.strategy.reduce(self._sum / self._steps, reduce_op="mean")
        self.train = {
            "train/loss": float(mean),  # the one wait for the device
            "train/lr": settings.learning_rate * factor(step - 1),
        }
        self._sum, self._steps = None, 0
        self.logged_at = step
        log(trainer, self.train, step)

    def validate(self, trainer: Trainer) -> None:
        """Run Lightning's validation loop now, in the middle of `fit`.

        These are the steps by which Lightning itself goes from training to validation.
        """
        harness = trainer.lightning_module
        assert isinstance(harness, Harness)
        harness.begin_validation()
        connector = trainer._logger_connector
        first_batch = connector._first_loop_iter
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True
        connector._first_loop_iter = first_batch
        harness.end_validation()
        self.validated_at = trainer.global_step

    def on_validation_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        assert isinstance(pl_module, Harness)
        metrics = pl_module.validation_metrics()
        scores = self._scorer(trainer, pl_module) if self._scorer is not None else {}
        self.headline = _named({"loss": metrics["loss"], **scores})
        self.validation = _named({**metrics, **scores})
        log(trainer, self.validation, trainer.global_step)

    # The losses since the last row are part of a checkpoint: the row after it is the
    # mean over the same steps whether or not the run was interrupted.

    def state_dict(self) -> dict[str, Any]:
        return {"sum": self._sum, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sum, self._steps = state_dict["sum"], state_dict["steps"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._sum is not None:
            self._sum = self._sum.to(pl_module.device)


def _named(metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"val/{name}": value for name, value in metrics.items()}


def ends_step(trainer: Trainer, batch_idx: int) -> bool:
    """Whether the optimiser stepped after this batch of the run."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


def log(trainer: Trainer, metrics: Mapping[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(dict(metrics), step)

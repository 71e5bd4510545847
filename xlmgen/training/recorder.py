"""Record training losses, validations and scores of generated answers at due steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.optim import Optimizer

from xlmgen.distributed import processes
from xlmgen.training.guard import NotFinite, StepRange
from xlmgen.training.harness import Harness
from xlmgen.training.step_callback import StepCallback

Scorer = Callable[[Trainer, Harness], Mapping[str, float]]
"""Generates answers with a harness's model and returns their scores by name."""


class Recorder(StepCallback):
    """Logs every `log_every` steps and validates every `validate_every` and at the end.

    Args:
        log_every, validate_every: in optimiser steps.
        scorer: returns scores to add to a validation's losses; None adds nothing.
        on_nan: whether steps that are not finite are counted (`skip`) or end the run.
        scaled: whether gradients are scaled (16-bit). Infinite norms are then normal.

    `train` and `validation` hold the latest numbers, for checkpoints and progress;
    `headline` holds the validation's loss and scores, which progress shows.
    """

    def __init__(
        self,
        log_every: int,
        validate_every: int,
        scorer: Scorer | None = None,
        *,
        on_nan: Literal["stop", "skip"] = "stop",
        scaled: bool = False,
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
        self._on_nan = on_nan
        self._scaled = scaled
        self._learning_rate = math.nan
        self._loss: Tensor | None = None
        # Of every step since the last row, on the device.
        self._losses: list[Tensor] = []
        self._norms: list[Tensor] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self._learning_rate = optimizer.param_groups[0]["lr"]

    def after_batch(
        self, trainer: Trainer, batch: Mapping[str, Any], loss: Tensor
    ) -> None:
        loss = loss.float()
        self._loss = loss if self._loss is None else self._loss + loss

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        assert self._loss is not None
        self._losses.append(self._loss)
        self._norms.append(harness.gradient_norm.float())
        self._loss = None
        step = trainer.global_step
        if step % self._log_every == 0 or step == trainer.max_steps:
            self._log_training(trainer)
        if step % self._validate_every == 0 or step == trainer.max_steps:
            self.validate(trainer)

    @property
    def recent_loss(self) -> Tensor | None:
        """Mean loss (), on the device, of the steps since the last row."""
        return torch.stack(self._losses).mean() if self._losses else None

    def _log_training(self, trainer: Trainer) -> None:
        rows = self._finite_steps(trainer)
        losses, norms = zip(*rows or [(math.nan, math.nan)], strict=True)
        finite = [norm for norm in norms if math.isfinite(norm)] or [math.nan]
        self.train = {
            "train/loss": math.fsum(losses) / len(losses),
            "train/lr": self._learning_rate,
            "train/grad_norm": math.fsum(finite) / len(finite),
            "train/grad_norm_max": max(finite),
        }
        if self._on_nan == "skip":
            self.train["train/skipped"] = len(self._losses) - len(rows)
        self._losses, self._norms = [], []
        self.logged_at = trainer.global_step
        log(trainer.loggers, self.train, trainer.global_step)

    def _finite_steps(self, trainer: Trainer) -> list[tuple[float, float]]:
        """Return loss and norm of all finite steps since the last row.

        Raises:
            NotFinite: a step was not finite, and `on_nan` is `stop`.
        """
        # If a loss is not finite on one device, neither is the mean.
        losses = trainer.strategy.reduce(torch.stack(self._losses), reduce_op="mean")
        table = torch.stack([losses, torch.stack(self._norms)], dim=1)
        # The host waits for the device only here, once per row.
        rows: list[tuple[float, float]] = table.tolist()
        # A scaler of 16-bit gradients finds its scale by norms that are not finite.
        judged = 1 if self._scaled else 2
        good = [all(map(math.isfinite, row[:judged])) for row in rows]
        if self._on_nan == "stop" and not all(good):
            last = trainer.global_step
            steps = range(last - len(rows) + 1, last + 1)
            bad = tuple(s for s, fine in zip(steps, good, strict=True) if not fine)
            raise NotFinite(StepRange(steps[0], last, bad, self._learning_rate))
        return [row for row, fine in zip(rows, good, strict=True) if fine]

    def check(self, trainer: Trainer) -> None:
        """Check that all steps since the last row were finite if `on_nan` is `stop`.

        Raises:
            NotFinite: a step was not finite.
        """
        if self._on_nan == "stop" and self._losses:
            self._finite_steps(trainer)

    def validate(self, trainer: Trainer) -> None:
        """Measure the validation split and score answers during `fit`.

        Lightning's own loop validates neither after the last step nor after an
        interrupt. This method calls the same hooks of the callbacks as that loop.
        """
        harness = trainer.lightning_module
        assert isinstance(harness, Harness)
        harness.begin_validation()
        for callback in callbacks_of(trainer):
            callback.on_validation_start(trainer, harness)
        with torch.no_grad():
            self._measure(trainer, harness)
        for callback in callbacks_of(trainer):
            callback.on_validation_end(trainer, harness)
        harness.end_validation()
        self.validated_at = trainer.global_step

    def _measure(self, trainer: Trainer, harness: Harness) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        for number, batch in enumerate(data.val_dataloader()):
            batch = trainer.strategy.batch_to_device(batch)
            trainer.strategy.validation_step(batch, number)
            for callback in callbacks_of(trainer):
                callback.on_validation_batch_end(trainer, harness, None, batch, number)
        metrics = harness.validation_metrics()
        scores = self._scorer(trainer, harness) if self._scorer is not None else {}
        self.headline = _named({"loss": metrics["loss"], **scores})
        self.validation = _named({**metrics, **scores})
        log(trainer.loggers, self.validation, trainer.global_step)

    # The losses since the last row are part of a checkpoint, so that the next row is
    # the mean over the same steps whether or not the run was interrupted.

    def state_dict(self) -> dict[str, Any]:
        own = [loss.cpu() for loss in self._losses]
        norms = [norm.cpu() for norm in self._norms]
        return {"losses": processes.gather(own), "norms": norms}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        losses, self._norms = state_dict["losses"], state_dict["norms"]
        same = len(losses) == processes.count()
        means = [torch.stack(steps).mean(0) for steps in zip(*losses, strict=True)]
        self._losses = losses[processes.rank()] if same else means

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        device = pl_module.device
        self._losses = [loss.to(device) for loss in self._losses]
        self._norms = [norm.to(device) for norm in self._norms]


def _named(metrics: Mapping[str, float]) -> dict[str, float]:
    return {f"val/{name}": value for name, value in metrics.items()}


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the trainer's callbacks in order; Lightning's types omit the attribute."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def log(loggers: Iterable[Logger], metrics: Mapping[str, float], step: int) -> None:
    """Log metrics with every logger."""
    for logger in loggers:
        logger.log_metrics(dict(metrics), step)

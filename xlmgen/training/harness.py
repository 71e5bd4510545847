"""LightningModule that trains and validates the model and loss of any family.

Losses and metrics stay on the device; `xlmgen.training.recorder` logs them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from xlmgen.distributed import processes
from xlmgen.experiment.settings import Training
from xlmgen.runs import rng
from xlmgen.runs.build import Parts
from xlmgen.runs.checkpoint import PREFIX, check_names
from xlmgen.runtime.metrics import MeanLoss
from xlmgen.training import guard
from xlmgen.training.average import Average
from xlmgen.training.blocks import compile_blocks, recompute_activations
from xlmgen.training.memory import keep_freed_memory
from xlmgen.training.optimizer import (
    build_optimizer,
    build_schedule,
    set_learning_rate,
)
from xlmgen.training.sharding import gather_weights, release_weights, shard

VALIDATION_SEED = 20_240_607
"""Seed of a loss's random draws in validation, so that validations are comparable."""


class Harness(LightningModule):
    """A family's model and loss under one experiment.

    Args:
        model: the model to train.
        loss: called as `loss(model, batch)`.
        metrics: the family's torchmetrics, updated with the output of the loss.
        settings: of the training.

    `gradient_norm`, (), is the norm of the latest step before clipping, on the device.
    """

    gradient_norm: Tensor

    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        metrics: Any,
        settings: Training,
    ) -> None:
        super().__init__()
        self.training_settings = settings
        keep_freed_memory()
        self.model = model
        self.loss = loss
        if settings.activation_checkpointing:
            recompute_activations(self.model)
        self._train = self.measure
        if settings.compile and settings.strategy == "fsdp":
            compile_blocks(self.model)
        elif settings.compile:
            self._train = torch.compile(self.measure)
        self.metrics = metrics
        self.validation_loss = MeanLoss()
        self.average: Average | None = None
        self._random_state: rng.State | None = None
        self._modes: list[tuple[torch.nn.Module, bool]] = []
        self._restored: list[rng.State] = []  # one per rank

    @classmethod
    def of(cls, parts: Parts) -> Self:
        """Build the harness of a run's parts."""
        return cls(parts.model, parts.loss, parts.metrics, parts.settings)

    def configure_model(self) -> None:
        """Shard the parameters over the processes, if the strategy is FSDP."""
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh["data_parallel"])

    def measure(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Compute the loss of a batch: `loss` (), `nll` (B,), `num_tokens` (B,)."""
        output: dict[str, Tensor] = self.loss(self.model, batch)
        return output

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        output = self._train(batch)
        loss = processes.share(output["loss"], output["normalizer"].sum())
        return guard.spread(loss)

    def begin_validation(self) -> None:
        """Prepare the model for a validation, and save the random state of training.

        Until `end_validation` all modules are in evaluation mode, every process holds
        all weights, and the model has their average if weights are averaged.
        """
        self._random_state = rng.capture()
        self._modes = [(module, module.training) for module in self.modules()]
        self.eval()
        if self.average is not None:
            self.average.swap()
        gather_weights(self.model)

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        # Rank r validates batches r, r + ranks, …: a batch has one seed on any rank.
        rng.seed(VALIDATION_SEED, batch_idx * processes.count() + processes.rank())
        output = self.measure(batch)
        self.metrics.update(output)
        self.validation_loss.update(output["loss"], output["normalizer"].sum())

    def validation_metrics(self) -> dict[str, float]:
        """Return `loss` and the family's own metrics, and reset them."""
        values = {"loss": self.validation_loss.compute(), **self.metrics.compute()}
        self.validation_loss.reset()
        self.metrics.reset()
        return {name: float(value) for name, value in values.items()}

    def validation_names(self) -> list[str]:
        """Return the names of `validation_metrics`; smaller is better for all."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchmetrics warns before an update
            names = ["loss", *self.metrics.compute()]
        self.metrics.reset()
        return names

    def end_validation(self) -> None:
        """Restore modes, weights and random state; also after a cut validation."""
        if self._random_state is not None:
            release_weights(self.model)
            for module, training in self._modes:
                module.training = training
            rng.restore(self._random_state)
            self._random_state = None
            if self.average is not None:
                self.average.swap()

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.model, self.training_settings)
        schedule = build_schedule(optimizer, self.training_settings)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of the gradient, and skip the step if it is not finite.

        Lightning refuses to clip for a fused optimiser under autocast. With 16-bit
        numbers Lightning's gradient scaler skips such steps.
        """
        self.gradient_norm = guard.clip(self.model.parameters(), gradient_clip_val)
        if self.training_settings.precision != "16-mixed":
            guard.skip_unless_finite(optimizer, self.gradient_norm)

    # Lightning's own loop state records the hook in which a checkpoint was saved. Our
    # checkpoints are saved between two optimiser steps: the number of steps suffices.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        del checkpoint["loops"]
        checkpoint["random_states"] = processes.gather(rng.capture())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        check_names(
            {PREFIX + k: v for k, v in self.model.state_dict().items()},
            checkpoint["state_dict"],
            "the checkpoint",
        )
        step, accumulate = checkpoint["global_step"], self.training_settings.accumulate
        loop = self.trainer.fit_loop.epoch_loop
        loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
        loop.batch_progress.total.ready = step * accumulate
        loop.batch_progress.total.completed = step * accumulate
        self._restored = checkpoint["random_states"]

    def on_train_start(self) -> None:
        """Set the random state, because building the loaders has drawn numbers."""
        settings, rank = self.training_settings, processes.rank()
        for optimizer in self.trainer.optimizers:
            set_learning_rate(optimizer, settings, self.trainer.global_step)
        if len(self._restored) == processes.count():
            rng.restore(self._restored[rank])
        else:  # a new run, or another number of ranks: each draws its own dropout
            rng.seed(settings.seed, rank, self.trainer.global_step)

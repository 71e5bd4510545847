"""Callback that averages the weights during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from xlmgen.runs.checkpoint import AVERAGE
from xlmgen.training.average import Average
from xlmgen.training.harness import Harness
from xlmgen.training.step_callback import StepCallback


# Not Lightning's WeightAveraging: it does not shard, and ends a training with the
# average in place of the weights.
class AverageWeights(StepCallback):
    """Updates the harness's average after every optimiser step, and checkpoints it.

    It must be the first of the trainer's callbacks, so that a validation after a step
    uses the average that includes this step.

    Args:
        decay: of the average; see `decay_at`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self._decay = decay
        self._restored: Mapping[str, Tensor] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Harness)
        average = Average(pl_module.model, self._decay)
        if self._restored is not None:
            average.load_state_dict(self._restored)
            self._restored = None
        pl_module.average = average

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        _average(harness).update(trainer.global_step)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[AVERAGE] = _average(pl_module).state_dict()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._restored = checkpoint[AVERAGE]


def _average(harness: LightningModule) -> Average:
    assert isinstance(harness, Harness)
    assert harness.average is not None
    return harness.average

"""Build the parts of a run: family, task, data, model, loss and predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xlmgen.data.datamodule import DataModule
from xlmgen.data.task import Task
from xlmgen.experiment.settings import Experiment, Training
from xlmgen.io.shards import Shards
from xlmgen.runs import rng
from xlmgen.runs.checkpoint import load_into, misfit
from xlmgen.runs.checkpoint_folder import Weights, weight_files
from xlmgen.runs.model import build_model
from xlmgen.runs.predictor import build_predictor
from xlmgen.runs.run import Run, Stored
from xlmgen.runs.weight_shapes import misfits
from xlmgen.runtime.family import Family
from xlmgen.runtime.special_tokens import SpecialTokens


@dataclass(frozen=True)
class Parts:
    """The parts of a run, built from its folder.

    Args:
        metrics: the family's torchmetrics of `measure`.
    """

    family: Family
    task: Task
    data: DataModule
    model: nn.Module
    loss: Any
    metrics: Any
    predictor: Any
    settings: Training

    def measure(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The loss's output on a batch: `loss` (), `nll` (B,), `num_tokens` (B,)."""
        output: dict[str, Tensor] = self.loss(self.model, batch)
        return output

    def load(self, checkpoint: Path, weights: Weights = Weights.raw) -> torch.device:
        """Load a checkpoint's weights and move all parts to the device, for evaluation.

        Args:
            weights: raw or averaged.

        Returns:
            the device: a GPU if there is one.

        Raises:
            UserError: the checkpoint cannot be read or does not fit the model.
        """
        load_into(self.model, checkpoint, weights)
        device = device_for(self.settings)
        for part in (self.model, self.loss, self.metrics):
            if isinstance(part, nn.Module):  # a loss may be a plain callable
                part.to(device).eval()
        return device

    @property
    def tokens(self) -> SpecialTokens:
        return self.task.tokenizer.special


def device_for(settings: Training) -> torch.device:
    """The GPU if there is one, unless the experiment requires the CPU."""
    gpu = torch.cuda.is_available() and settings.accelerator != "cpu"
    return torch.device("cuda" if gpu else "cpu")


def data_module(experiment: Experiment, task: Task, family: Family) -> DataModule:
    """Data module of a task with the settings of an experiment."""
    settings = experiment.training
    return DataModule(
        task,
        family,
        batch_size=settings.batch_size,
        eval_batch_size=experiment.evaluation.batch_size,
        seed=settings.seed,
        num_workers=settings.num_workers,
        by_length=settings.batching == "by_length",
        pin_memory=device_for(settings).type == "cuda",
    )


def build(
    run: Run,
    *,
    family: Family | None = None,
    predictor: Mapping[str, Any] | None = None,
    stored: Stored | None = None,
) -> Parts:
    """Build the parts of a run, with freshly initialised weights.

    Args:
        run: the run folder.
        family: a variant of the run's family to use instead.
        predictor: options of the predictor to use instead of the experiment's.
        stored: weights that will be loaded; refused early if they do not fit.

    Raises:
        UserError: the parts do not fit together, or the weights do not fit the model.
    """
    experiment, settings = run.experiment, run.experiment.training
    family, task = family or run.load_family(), run.load_task()
    tokens = task.tokenizer.special
    if stored is not None:
        _refuse_misfits(stored, family, tokens, experiment)
    data = data_module(experiment, task, family)
    numbers = experiment.predictor if predictor is None else predictor
    rng.seed(settings.seed)  # for the initial weights
    return Parts(
        family,
        task,
        data,
        build_model(family, tokens, experiment),
        family.loss(tokens),
        family.metrics(),
        build_predictor(family, tokens, numbers),
        settings,
    )


def _refuse_misfits(
    stored: Stored, family: Family, tokens: SpecialTokens, experiment: Experiment
) -> None:
    """Refuse weights of another network before allocating this one."""
    names = [file.name for file in stored.folder.iterdir()]
    shards = Shards.open(stored.folder, weight_files(names, stored.weights))
    if problems := misfits(shards, family, tokens, experiment):
        raise misfit(str(stored.folder), problems)

"""What a run is made of, put together: family, task, data, model and predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xlmgen.data.datamodule import DataModule
from xlmgen.evaluation.predictor import build_predictor
from xlmgen.experiment.settings import Experiment, Training
from xlmgen.family import Family
from xlmgen.harness import Harness
from xlmgen.run import Run, Stored
from xlmgen.shards import Shards
from xlmgen.tasks import Task
from xlmgen.tokens import SpecialTokens
from xlmgen.training import rng
from xlmgen.training.checkpoint import load_into, misfit
from xlmgen.training.checkpoint_folder import Weights, weight_files
from xlmgen.weight_shapes import misfits


@dataclass(frozen=True)
class Assembly:
    """The parts of a run, made from what its folder holds."""

    family: Family
    task: Task
    data: DataModule
    harness: Harness
    predictor: Any

    def load(self, checkpoint: Path, weights: Weights = Weights.raw) -> torch.device:
        """Give the model a checkpoint's weights, ready to be evaluated.

        Args:
            weights: raw or averaged.

        Returns:
            The device that it is on: a GPU where there is one.

        Raises:
            UserError: the checkpoint cannot be read or does not fit the model.
        """
        load_into(self.harness.model, checkpoint, weights)
        device = device_for(self.harness.training_settings)
        self.harness.to(device).eval()
        return device

    @property
    def tokens(self) -> SpecialTokens:
        return self.task.tokenizer.special


def device_for(settings: Training) -> torch.device:
    """A GPU where there is one and the experiment does not ask for the CPU."""
    gpu = torch.cuda.is_available() and settings.accelerator != "cpu"
    return torch.device("cuda" if gpu else "cpu")


def data_module(experiment: Experiment, task: Task, family: Family) -> DataModule:
    """The batches of a task as an experiment asks for them."""
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


def assemble(
    run: Run,
    *,
    family: Family | None = None,
    predictor: Mapping[str, Any] | None = None,
    stored: Stored | None = None,
) -> Assembly:
    """Import the run's family and build its parts, with freshly initialised weights.

    Args:
        run: the run folder.
        family: instead of the run's own, a variant of it.
        predictor: numbers of the predictor instead of the experiment's.
        stored: the weights that the model is to be given.

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
    rng.seed(settings.seed)  # of the weights
    return Assembly(
        family,
        task,
        data,
        Harness(family, tokens, experiment),
        build_predictor(family, tokens, numbers),
    )


def _refuse_misfits(
    stored: Stored, family: Family, tokens: SpecialTokens, experiment: Experiment
) -> None:
    """Refuse weights of another network before there is memory for this one."""
    names = [file.name for file in stored.folder.iterdir()]
    shards = Shards.open(stored.folder, weight_files(names, stored.weights))
    if problems := misfits(shards, family, tokens, experiment):
        raise misfit(str(stored.folder), problems)

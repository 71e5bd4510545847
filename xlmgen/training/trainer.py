"""Build the Lightning trainer of an experiment, with its callbacks and loggers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.cluster_environment import (
    ClusterEnvironment,
)
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from rich.console import Console

from xlmgen.distributed import launch
from xlmgen.evaluation.likelihood import NOTHING_MEASURED
from xlmgen.experiment.settings import Experiment, Training
from xlmgen.runs.checkpoint import FolderCheckpoint
from xlmgen.runs.run import METRICS, THROUGHPUT, run_id
from xlmgen.training.averaging import AverageWeights
from xlmgen.training.checkpointing import CheckpointCallback
from xlmgen.training.early_end import EarlyEnd
from xlmgen.training.interrupt import StopOnSignal
from xlmgen.training.metrics_file import MetricsFile
from xlmgen.training.progress import TrainingProgress
from xlmgen.training.recorder import Recorder, Scorer
from xlmgen.training.schedule import cooldown_start
from xlmgen.training.sharding import FullyShardedStrategy
from xlmgen.training.tensorboard import TensorBoard
from xlmgen.training.throughput import Throughput
from xlmgen.training.trackers import Tracker


def build_trainer(
    experiment: Experiment,
    folder: Path,
    console: Console,
    *,
    resumed_at: int = 0,
    scorer: Scorer | None = None,
    ends: Callable[[Recorder], Sequence[EarlyEnd]] = lambda recorder: (),
) -> Trainer:
    """Build a trainer that writes into a run folder.

    Args:
        experiment: its `training` and `loggers` are used.
        folder: the run folder.
        console: shows progress.
        resumed_at: the step of the checkpoint that the run continues from.
        scorer: generates and scores answers at every validation.
        ends: builds the callbacks that may end the run before `max_steps`.
    """
    settings = experiment.training
    recorder = Recorder(
        settings.log_every,
        settings.validate_every,
        scorer,
        on_nan=settings.on_nan,
        scaled=settings.precision == "16-mixed",
    )
    throughput = Throughput(
        recorder, MetricsFile(folder / THROUGHPUT, resumed_at, columns=["step"])
    )
    checkpoints = _checkpoints(settings, folder, recorder)
    return Trainer(
        max_steps=settings.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.gradient_clip,
        precision=settings.precision,
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        strategy=_strategy(settings),
        logger=_loggers(experiment, folder, resumed_at),
        # The order matters: the recorder needs the new average; its numbers are shown
        # and saved; then signals are handled.
        callbacks=[
            *_averaging(settings),
            recorder,
            *ends(recorder),
            throughput,
            TrainingProgress(console, recorder, throughput),
            checkpoints,
            StopOnSignal(checkpoints),
        ],
        plugins=[FolderCheckpoint(run_id(folder)), _cluster()],
        default_root_dir=folder,
        log_every_n_steps=settings.log_every,
        **SWITCHED_OFF,
    )


SWITCHED_OFF: dict[str, Any] = {
    "limit_val_batches": 0,  # the recorder validates
    "use_distributed_sampler": False,  # the data module gives every rank its batches
    "enable_checkpointing": False,  # CheckpointCallback saves
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
"""Parts of Lightning that our callbacks and data module replace."""


def _averaging(settings: Training) -> list[AverageWeights]:
    return [] if settings.ema_decay is None else [AverageWeights(settings.ema_decay)]


def _checkpoints(
    settings: Training, folder: Path, recorder: Recorder
) -> CheckpointCallback:
    """Build the checkpoint callback; with `wsd` it keeps the step before the cooldown.

    A longer run can continue from that checkpoint.
    """
    return CheckpointCallback(
        folder / "checkpoints",
        recorder,
        run_id(folder),
        every=settings.checkpoint_every,
        keep=settings.keep,
        keep_every=settings.keep_every,
        always=cooldown_start(settings) if settings.schedule == "wsd" else None,
    )


def _loggers(experiment: Experiment, folder: Path, resumed_at: int) -> list[Logger]:
    loggers: list[Logger] = [MetricsFile(folder / METRICS, resumed_at)]
    if "tensorboard" in experiment.loggers:
        loggers.append(TensorBoard(folder / "tensorboard", resumed_at))
    return loggers + [Tracker(name, experiment, folder) for name in experiment.trackers]


def _cluster() -> ClusterEnvironment:
    """Return Lightning's environment for the launcher that started the processes.

    Lightning's own guess takes leftover environment variables for a launcher.
    """
    if launch.by_torchrun():
        return TorchElasticEnvironment()
    if launch.by_srun():  # `StopOnSignal` saves; the user queues the job again
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment()


def _strategy(settings: Training) -> str | Strategy:
    processes = settings.devices * settings.num_nodes
    if settings.strategy == "fsdp":
        return FullyShardedStrategy(processes)
    if settings.strategy == "ddp" or processes > 1:
        # Buffers are constants here. If every forward pass broadcast them, ranks would
        # wait for each other when one has one more batch to validate.
        return DDPStrategy(broadcast_buffers=False)
    return settings.strategy


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's log messages and warnings of normal events."""
    loggers = [logging.getLogger(name) for name in LIGHTNING_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


LIGHTNING_LOGGERS = ("lightning.pytorch", "lightning.fabric", "lightning")
EXPECTED_WARNINGS = (
    # One process prepares the batches unless the experiment says otherwise.
    r"The '\w+' does not have many workers",
    # Lightning uses a deprecated class of PyTorch.
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    NOTHING_MEASURED,
    # The replacement does not document whether buffers are sent once at the start.
    r"`broadcast_buffers` is deprecated",
)

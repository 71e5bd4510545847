"""Measure speed and memory of a training: `throughput.csv`.

Separate from `metrics.csv`, whose numbers a continued run reproduces exactly.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from xlmgen.runs import rng
from xlmgen.training.harness import Harness
from xlmgen.training.metrics_file import MetricsFile
from xlmgen.training.peaks import peak_flops
from xlmgen.training.recorder import Recorder, log
from xlmgen.training.sharding import FullyShardedStrategy
from xlmgen.training.step_callback import StepCallback

GIB = 2**30


# Not Lightning's ThroughputMonitor: it waits for a GPU after every batch.
class Throughput(StepCallback):
    """Measures the time between rows without validations and checkpoints.

    Args:
        recorder: its rows set the intervals, because it waits for the device at every
            row. It must come earlier in the trainer's callbacks.
        file: receives the numbers, as do all loggers except metrics.csv.

    `latest` holds the numbers of the last interval.
    """

    def __init__(self, recorder: Recorder, file: MetricsFile) -> None:
        super().__init__()
        self.latest: dict[str, float] = {}
        self._recorder = recorder
        self._file = file
        self._peak: float | None = None
        self._flops_per_token = 0.0
        self._pause_began: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._since, self._paused = time.perf_counter(), 0.0
        self._steps = self._rows = self._tokens = 0

    def _pause(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # finish the steps before the pause
        self._pause_began = time.perf_counter()

    def _resume(self) -> None:
        if self._pause_began is not None:
            self._paused += time.perf_counter() - self._pause_began
            self._pause_began = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        precision = str(trainer.precision_plugin.precision)
        # A sharded model must run on all ranks at once, and counting may fail on one.
        if not isinstance(trainer.strategy, FullyShardedStrategy):
            self._peak = peak_flops(pl_module.device, precision)
        self._begin()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, Harness)
        self._resume()
        if self._peak is not None and not self._flops_per_token:
            try:
                flops = step_flops(trainer, pl_module, batch)
            except Exception:  # no error of the counter may end a training
                flops = 0.0
            self._flops_per_token = flops / max(1, size(batch)[1])
            if not flops:
                self._peak = None
            self._begin()

    def after_batch(
        self, trainer: Trainer, batch: Mapping[str, Any], loss: Tensor
    ) -> None:
        rows, tokens = size(batch)
        self._rows += rows
        self._tokens += tokens

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        self._steps += 1
        if self._recorder.logged_at != trainer.global_step:
            return
        seconds = time.perf_counter() - self._since - self._paused
        self.latest = self._numbers(seconds, trainer.world_size, harness.device)
        self._file.log_metrics(self.latest, trainer.global_step)
        others = [one for one in trainer.loggers if not isinstance(one, MetricsFile)]
        log(others, self.latest, trainer.global_step)
        self._begin()

    @property
    def recent_speed(self) -> float:
        """Steps per second since the last row; 0 before the first step.

        An estimate on a GPU, which may still be busy with some of the steps.
        """
        seconds = time.perf_counter() - self._since - self._paused
        return self._steps / max(seconds, 1e-9)

    def _numbers(
        self, seconds: float, devices: int, device: torch.device
    ) -> dict[str, float]:
        seconds = max(seconds, 1e-9)
        numbers = {"speed/steps_per_s": self._steps / seconds}
        if self._tokens:
            numbers["speed/rows_per_s"] = devices * self._rows / seconds
            numbers["speed/tokens_per_s"] = devices * self._tokens / seconds
        if self._tokens and self._peak is not None:
            flops = self._flops_per_token * self._tokens / seconds
            numbers["speed/mfu"] = flops / self._peak
        memory = peak_memory(device)
        return (
            numbers if memory is None else numbers | {"memory/peak_gib": memory / GIB}
        )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._pause(pl_module.device)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._resume()

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._pause(pl_module.device)  # until the next batch


def size(batch: Mapping[str, Any]) -> tuple[int, int]:
    """Return the number of rows and of positions of `input_ids`, padding included.

    Both are 0 for kinds of collators whose batches have no `input_ids`.
    """
    ids = batch.get("input_ids")
    return (0, 0) if ids is None else (len(ids), ids.numel())


def step_flops(trainer: Trainer, harness: Harness, batch: Mapping[str, Any]) -> float:
    """Count the floating-point operations of matrix products in training on a batch.

    The forward pass is counted; the backward pass is assumed to need twice as many.
    Operations that activation checkpointing repeats count once.
    """
    state = rng.capture()
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), trainer.precision_plugin.forward_context(), counter:
            harness.measure(batch)
    finally:
        rng.restore(state)
    if harness.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(harness.device)
    return 3.0 * counter.get_total_flops()


def peak_memory(device: torch.device) -> int | None:
    """Peak memory in bytes: of tensors on a GPU, otherwise of this process.

    None on Windows.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak

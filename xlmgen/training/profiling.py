"""Profile training steps: a trace for a browser and the time of every operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

from xlmgen.training.harness import Harness
from xlmgen.training.step_callback import StepCallback

LOADING, FORWARD, BACKWARD, UPDATE = PHASES = (
    "data loading",
    "forward",
    "backward",
    "optimiser",
)
"""Phases of a training step in order; their names in the trace."""


class Profiled(Exception):
    """Raised after the last profiled step, to end the training."""


@dataclass(frozen=True)
class Cost:
    """Time of one operation over all profiled steps.

    Args:
        name: of the operation, such as `aten::mm`.
        calls: number of calls.
        seconds: time of the operation without the operations that it calls.
    """

    name: str
    calls: int
    seconds: float


# Not Lightning's PyTorchProfiler: it counts batches, not optimiser steps.
class StepProfiler(StepCallback):
    """Profiles `steps` steps after `warmup` steps, and ends the training.

    Args:
        warmup: number of steps before profiling, in which caches fill and kernels are
            compiled.
        steps: number of profiled steps.
    """

    def __init__(self, warmup: int, steps: int) -> None:
        super().__init__()
        self._warmup = warmup
        self._last = warmup + steps
        self._steps = steps
        self._profile: profile | None = None
        self._phase = ExitStack()
        self._on_gpu = False

    def _enter(self, phase: str | None) -> None:
        """End the current phase; start another if the profiler is running."""
        self._phase.close()
        if self._profile is not None and phase is not None:
            self._phase.enter_context(record_function(phase))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._enter(FORWARD)

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        self._enter(BACKWARD)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._enter(UPDATE)

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        self._on_gpu = harness.device.type == "cuda"
        if trainer.global_step == self._last:
            self._stop()
            raise Profiled
        if trainer.global_step == self._warmup:
            self._start()

    def on_train_batch_end(self, *arguments: Any, **named: Any) -> None:
        super().on_train_batch_end(*arguments, **named)
        self._enter(LOADING)

    def _start(self) -> None:
        kinds = [ProfilerActivity.CPU]
        if self._on_gpu:
            kinds.append(ProfilerActivity.CUDA)
            torch.cuda.synchronize()
        self._profile = profile(activities=kinds)
        self._profile.start()

    def _stop(self) -> None:
        assert self._profile is not None
        if self._on_gpu:
            torch.cuda.synchronize()
        self._enter(None)
        self._profile.stop()

    def write_trace(self, file: Path) -> None:
        """Write the trace in Chrome's format."""
        assert self._profile is not None
        self._profile.export_chrome_trace(str(file))

    def phases(self) -> dict[str, float]:
        """Return the host's seconds per step in each phase."""
        spent = {event.key: event.cpu_time_total for event in self._events()}
        return {name: spent.get(name, 0.0) / 1e6 / self._steps for name in PHASES}

    def costs(self) -> list[Cost]:
        """Return all operations, the slowest first; GPU times if there is a GPU."""
        costs = [
            Cost(event.key, event.count, self._seconds(event))
            for event in self._events()
            if event.key not in PHASES and self._seconds(event)
        ]
        return sorted(costs, key=lambda cost: cost.seconds, reverse=True)

    def _seconds(self, event: Any) -> float:
        on_gpu, on_cpu = event.self_device_time_total, event.self_cpu_time_total
        return (on_gpu if self._on_gpu else on_cpu) / 1e6

    def _events(self) -> Iterator[Any]:
        """Yield totals by name; an operation's total includes its GPU kernels."""
        assert self._profile is not None
        for event in self._profile.key_averages():
            if event.device_type.name == "CPU":
                yield event

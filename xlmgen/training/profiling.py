"""Where the time of a training step goes: a trace to look at and a table."""

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
"""What follows one another in a step; the trace shows them by these names."""


class Profiled(Exception):
    """All steps that were to be profiled have been."""


@dataclass(frozen=True)
class Cost:
    """What one operation took, over all steps.

    Args:
        calls: how often it ran.
        seconds: the time that it took itself, without the operations inside it.
    """

    name: str
    calls: int
    seconds: float


# Not Lightning's PyTorchProfiler: it counts batches, not optimiser steps.
class StepProfiler(StepCallback):
    """Profiles some steps after some others, and ends the training.

    Args:
        warmup: steps that are not profiled: caches fill, kernels are compiled.
        steps: those that are.
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
        """Leave the phase before, and enter another while the profiler runs."""
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
        """Write what happened when, for a browser."""
        assert self._profile is not None
        self._profile.export_chrome_trace(str(file))

    def phases(self) -> dict[str, float]:
        """Seconds per step that the host spent in each phase."""
        spent = {event.key: event.cpu_time_total for event in self._events()}
        return {name: spent.get(name, 0.0) / 1e6 / self._steps for name in PHASES}

    def costs(self) -> list[Cost]:
        """Every operation, the costliest first: on the GPU where there is one."""
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
        """Totals by name; what a kernel took is also part of who called it."""
        assert self._profile is not None
        for event in self._profile.key_averages():
            if event.device_type.name == "CPU":
                yield event

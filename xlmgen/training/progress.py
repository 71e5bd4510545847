"""Show the progress of a training: a bar in a terminal, lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from lightning.pytorch import LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text
from torch import Tensor

from xlmgen.evaluation.scores import SHARES
from xlmgen.training.harness import Harness
from xlmgen.training.recorder import Recorder
from xlmgen.training.step_callback import StepCallback
from xlmgen.training.throughput import Throughput

PER_CENT = ("accuracy", *SHARES)
"""Endings of the names of metrics that are shown in per cent."""

NARROWEST = 8 * "━"
"""Minimum of the bar in a narrow terminal."""
WIDE = 70
"""Columns of a terminal in which the bar has a label."""
GAP = "  "
REFRESH = 1.0  # seconds between updates of loss, speed and time left


class TrainingProgress(StepCallback):
    """Shows the step, the latest losses, the speed and the time left.

    The bar has the mean loss and the speed of the steps since the last row of
    `metrics.csv`. It reads the loss without waiting for the device.

    Args:
        console: shows the progress.
        recorder, throughput: their latest numbers are shown. They must come earlier in
            the trainer's callbacks.
    """

    def __init__(
        self, console: Console, recorder: Recorder, throughput: Throughput
    ) -> None:
        super().__init__()
        self._console = console
        self._recorder = recorder
        self._throughput = throughput
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._steps = 0
        self._shown = -REFRESH
        self._loss: HostCopy | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        self._steps = trainer.max_steps  # kept, because an early end lowers it
        if not self._console.is_terminal:
            return
        label = [TextColumn("[bold]training")] if self._has_label else []
        self._bar = Progress(
            *label,
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=self._console,
        )
        self._task = self._bar.add_task(
            "", total=self._steps, completed=trainer.global_step, state="starting"
        )
        self._bar.start()

    def after_step(self, trainer: Trainer, harness: Harness) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        if self._bar is not None:
            self._bar.update(self._task, completed=step)
        if self._recorder.logged_at == step:
            loss = self._recorder.train["train/loss"]
            speed = self._throughput.latest["speed/steps_per_s"]
            self._show_training(step, self._steps, loss, speed)
        elif self._bar is not None:
            self._refresh(step)
        if self._recorder.validated_at == step:
            self._show_validation(step)

    def _refresh(self, step: int) -> None:
        """Show the recent loss and speed, if the last update is a second old."""
        if time.monotonic() - self._shown < REFRESH:
            return
        recent = self._recorder.recent_loss
        if self._loss is None and recent is not None:
            self._loss = HostCopy(recent)
        if self._loss is not None and self._loss.is_ready():
            loss, speed = self._loss.value(), self._throughput.recent_speed
            self._show_training(step, self._steps, loss, speed)

    @property
    def _has_label(self) -> bool:
        """Whether the terminal has columns for a label of the bar."""
        return self._console.width >= WIDE

    def _show_training(self, step: int, steps: int, loss: float, speed: float) -> None:
        self._shown, self._loss = time.monotonic(), None
        parts = self._parts(steps - step, loss, speed)
        label = "training " if self._has_label else ""
        room = self._console.width - len(f"{label}{NARROWEST} {steps}/{steps} ")
        while self._bar is not None and len(parts) > 3 and width(parts) > room:
            parts.pop()
        state = GAP.join(parts)
        if self._bar is not None:
            self._bar.update(self._task, state=state)
        else:
            self._print(f"step {step}/{steps}  {state}")

    def _parts(self, steps_left: int, loss: float, speed: float) -> list[str]:
        """Return the parts of the status line, the most important first."""
        train, numbers = self._recorder.train, self._throughput.latest
        parts = [
            f"loss [bold]{loss:.4f}[/]",
            f"{speed:.1f} it/s",
            f"{duration(steps_left / speed)} left",
        ]
        if skipped := train.get("train/skipped"):
            parts.append(f"[yellow]{skipped:.0f} skipped[/]")
        if "speed/tokens_per_s" in numbers:
            parts.append(f"{short(numbers['speed/tokens_per_s'])} tokens/s")
        if "speed/mfu" in numbers:
            parts.append(f"{100 * numbers['speed/mfu']:.0f} % MFU")
        if "memory/peak_gib" in numbers:
            parts.append(f"{numbers['memory/peak_gib']:.1f} GiB")
        return parts

    def _show_validation(self, step: int) -> None:
        self._print(f"[green]step {step}[/]  {summary(self._recorder.headline)}")

    def _print(self, line: str) -> None:
        """Print a line with rich's markup."""
        self._console.print(Text.from_markup(line))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task, completed=trainer.global_step, state="validating"
            )
            self._shown = -REFRESH

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def teardown(
        self, trainer: Trainer, pl_module: LightningModule, stage: str
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        """Leave the bar in the terminal as it is; later lines are below it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class HostCopy:
    """A copy of a device's scalar in host memory, made without waiting.

    Args:
        scalar: ().
    """

    def __init__(self, scalar: Tensor) -> None:
        self._copy = scalar.detach().to("cpu", non_blocking=True)
        self._done = (
            torch.cuda.current_stream().record_event() if scalar.is_cuda else None
        )

    def is_ready(self) -> bool:
        """Whether the copy is complete."""
        return self._done is None or self._done.query()

    def value(self) -> float:
        """The scalar; call it once the copy is complete."""
        return self._copy.item()


def width(parts: Sequence[str]) -> int:
    """Compute the width of parts on one line in cells, without their markup."""
    return Text.from_markup(GAP.join(parts)).cell_len


def summary(metrics: Mapping[str, float]) -> str:
    """Format metrics as `val/loss 0.1234  val/exact_match 97.0 %` in rich's markup."""
    return "  ".join(f"{name} [bold]{show(name, v)}[/]" for name, v in metrics.items())


def show(name: str, value: float) -> str:
    """Format a metric's value; shares of 1 are shown in per cent."""
    return f"{100 * value:.1f} %" if name.endswith(PER_CENT) else f"{value:.4f}"


def short(number: float) -> str:
    """Abbreviate a large number: `950`, `12.3k`, `1.2M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Format seconds as `1:02:03`, or as `2:03` below an hour."""
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"

"""Overfit one batch: a test that a broken loss fails within seconds."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities import move_data_to_device
from rich.console import Console

from xlmgen.runs.build import build, device_for
from xlmgen.runs.run import Run
from xlmgen.training.harness import Harness
from xlmgen.training.optimizer import build_optimizer


def overfit_one_batch(
    run: Run, console: Console, *, small: float, steps: int
) -> tuple[int, float]:
    """Train on the first training batch with its corruption, without dropout.

    Training stops when the loss is below `small` or not finite, or after `steps` steps.

    Args:
        small: mean loss in nats.
        steps: maximum number of optimiser steps.

    Returns:
        the number of steps, and the last loss.
    """
    parts = build(run)
    settings = run.experiment.training
    device = device_for(settings)
    harness = Harness.of(parts).to(device).eval()  # without dropout
    batch = move_data_to_device(next(iter(parts.data.train_dataloader())), device)
    optimizer = build_optimizer(harness.model, settings)
    loss = torch.tensor(torch.inf)
    for step in range(1, steps + 1):
        loss = harness.training_step(batch, 0)
        if step % settings.log_every == 0:
            console.print(f"step {step}  loss {loss.item():.4f}")
        if loss.item() < small or not loss.isfinite():  # it stays NaN
            return step, loss.item()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        if settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(
                harness.model.parameters(), settings.gradient_clip
            )
        optimizer.step()
    return steps, loss.item()

"""AdamW, which parameters decay, and how the learning rate moves."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from xlmgen.experiment.settings import Training


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weights of linear layers decay; norms, biases and embeddings do not."""
    no_decay_ids = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    for parameter in model.parameters():  # a tied parameter comes once
        if not parameter.requires_grad:
            continue
        small = parameter.ndim < 2 or id(parameter) in no_decay_ids
        (no_decay if small else decay).append(parameter)
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]


def build_optimizer(model: nn.Module, training: Training) -> AdamW:
    """AdamW with fused kernels where they can be used."""
    # Fused kernels unscale 16-bit gradients themselves, out of reach of clipping.
    fused = training.precision != "16-mixed"
    return AdamW(
        parameter_groups(model, training.weight_decay),
        lr=training.learning_rate,
        betas=training.betas,
        fused=fused,
    )


def learning_rate_factor(training: Training) -> Callable[[int], float]:
    """The factor on the peak learning rate for the step that comes after `done` steps.

    It rises from 1/warmup_steps to 1 during the warm-up, whatever the schedule.
    """
    warmup = training.warmup_steps
    rest = max(1, training.max_steps - warmup)

    def factor(done: int) -> float:
        if done < warmup:
            return (done + 1) / warmup
        part = min(1.0, (done - warmup) / rest)
        match training.schedule:
            case "constant":
                return 1.0
            case "linear":
                return 1.0 - part
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * part))

    return factor


def build_schedule(optimizer: torch.optim.Optimizer, training: Training) -> LambdaLR:
    """Warm-up, then the schedule, one step of it per optimiser step."""
    return LambdaLR(optimizer, learning_rate_factor(training))

"""AdamW: which parameters decay, and its learning rate by the schedule."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from xlmgen.experiment.settings import Training
from xlmgen.training.schedule import learning_rate_factor

DECAYING = (nn.Linear, nn.Bilinear, nn.Conv1d, nn.MultiheadAttention)
"""Modules whose matrices decay. What else has parameters may have any kind: gains,
tables of positions, embeddings of its own."""


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The matrices of linear layers decay, unless they are embeddings too.

    Nothing else does: neither norms, biases and embeddings nor a bare parameter.
    """
    matrices, embeddings = (
        {
            id(parameter)
            for module in model.modules()
            if isinstance(module, kinds)
            for parameter in module.parameters(recurse=False)
            if parameter.ndim >= 2
        }
        for kinds in (DECAYING, (nn.Embedding, nn.EmbeddingBag))
    )
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    for parameter in model.parameters():  # a tied parameter comes once
        if not parameter.requires_grad:
            continue
        decays = id(parameter) in matrices - embeddings
        (decay if decays else no_decay).append(parameter)
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


def build_schedule(optimizer: torch.optim.Optimizer, training: Training) -> LambdaLR:
    """Warm-up, then the schedule, one step of it per optimiser step."""
    return LambdaLR(optimizer, learning_rate_factor(training))


def set_learning_rate(
    optimizer: torch.optim.Optimizer, training: Training, done: int
) -> None:
    """Give the next step the learning rate of the schedule.

    An optimiser that was loaded has the one of the run as it was, whose `max_steps` may
    have been another.
    """
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate * learning_rate_factor(training)(done)

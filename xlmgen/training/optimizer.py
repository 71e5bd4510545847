"""The optimiser of an experiment: which parameters it updates how, and its schedule."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Training
from xlmgen.training.blocks import blocks_of
from xlmgen.training.muon import MuonWithAdamW
from xlmgen.training.schedule import learning_rate_factor

DECAYING = (nn.Linear, nn.Bilinear, nn.Conv1d, nn.MultiheadAttention)
"""Modules whose matrices decay. What else has parameters may have any kind: gains,
tables of positions, embeddings of its own."""


def parameter_groups(
    model: nn.Module, weight_decay: float, without: Collection[nn.Parameter] = ()
) -> list[dict[str, object]]:
    """The matrices of linear layers decay, unless they are embeddings too.

    Nothing else does: neither norms, biases and embeddings nor a bare parameter.

    Args:
        without: parameters that are in neither group.
    """
    matrices = _linear_matrices(model)
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    left_out = set(map(id, without))
    for parameter in model.parameters():  # a tied parameter comes once
        if not parameter.requires_grad or id(parameter) in left_out:
            continue
        (decay if id(parameter) in matrices else no_decay).append(parameter)
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trained 2-D weights of linear layers inside the model's blocks.

    Embeddings, and heads tied to one, are not among them, nor is a linear layer that is
    itself a member of a module list: such lists hold heads.
    """
    matrices = _linear_matrices(model)
    blocks = [block for block in blocks_of(model) if not isinstance(block, DECAYING)]
    found = {
        id(parameter): parameter
        for block in blocks
        for parameter in block.parameters()
        if parameter.requires_grad and parameter.ndim == 2 and id(parameter) in matrices
    }
    return list(found.values())


def build_optimizer(model: nn.Module, training: Training) -> Optimizer:
    """The optimiser that the experiment asks for, AdamW with fused kernels if possible.

    Muon updates the matrices of hidden layers, its step scaled to the root mean square
    of AdamW's (Liu et al. 2025, arXiv:2502.16982, section 2.2), so that both take the
    same learning rate and weight decay.

    Raises:
        UserError: the model has no matrix for Muon.
    """
    matrices: list[nn.Parameter] = []
    if training.optimizer.kind == "muon":
        matrices = hidden_matrices(model)
        if not matrices:
            raise UserError(
                "training.optimizer: the model has no linear layer in a list of blocks "
                "for Muon",
                "keep its blocks in a torch.nn.ModuleList, or use kind adamw",
            )
    adamw = AdamW(
        parameter_groups(model, training.weight_decay, without=matrices),
        lr=training.learning_rate,
        betas=training.betas,
        # Fused kernels unscale 16-bit gradients themselves, out of reach of clipping.
        fused=training.precision != "16-mixed",
    )
    if not matrices:
        return adamw
    momentum = training.optimizer.momentum
    assert momentum is not None
    muon = Muon(
        matrices,
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
        momentum=momentum,
        adjust_lr_fn="match_rms_adamw",
    )
    return MuonWithAdamW(muon, adamw)


def build_schedule(optimizer: Optimizer, training: Training) -> LambdaLR:
    """Warm-up, then the schedule, one step of it per optimiser step."""
    return LambdaLR(optimizer, learning_rate_factor(training))


def set_learning_rate(optimizer: Optimizer, training: Training, done: int) -> None:
    """Give the next step the learning rate of the schedule.

    An optimiser that was loaded has the one of the run as it was, whose `max_steps` may
    have been another.
    """
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate * learning_rate_factor(training)(done)


def _linear_matrices(model: nn.Module) -> set[int]:
    """Ids of the weights of linear layers that are no embeddings as well."""
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
    return matrices - embeddings

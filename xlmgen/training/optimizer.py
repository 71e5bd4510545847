"""Build the optimiser of an experiment with its parameter groups and its schedule."""

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
"""Modules whose matrices have weight decay. Parameters of other modules may be gains,
position tables or embeddings."""


def parameter_groups(
    model: nn.Module, weight_decay: float, without: Collection[nn.Parameter] = ()
) -> list[dict[str, object]]:
    """Split trained parameters into a group with and a group without weight decay.

    Matrices of linear layers decay unless they are tied to an embedding. Norms, biases,
    embeddings and bare parameters do not.

    Args:
        weight_decay: of the first group.
        without: parameters to leave out of both groups.
    """
    matrices = _linear_matrices(model)
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    left_out = set(map(id, without))
    for parameter in model.parameters():  # yields a tied parameter once
        if not parameter.requires_grad or id(parameter) in left_out:
            continue
        (decay if id(parameter) in matrices else no_decay).append(parameter)
    return [
        {"params": decay, "weight_decay": weight_decay},
        {"params": no_decay, "weight_decay": 0.0},
    ]


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Return the trained 2-D weights of linear layers inside the model's layers.

    Embeddings and heads tied to one are left out, and so are linear layers that are
    themselves members of a module list: such lists hold heads.
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
    """Build the experiment's optimiser: AdamW, or Muon for hidden matrices.

    AdamW uses fused kernels except with 16-bit gradients. Muon's step is scaled to the
    root mean square of AdamW's (Liu et al. 2025, arXiv:2502.16982, section 2.2), so
    that both use the same learning rate and weight decay.

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
        # Fused kernels unscale 16-bit gradients themselves, after clipping.
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
    """Build the learning-rate schedule, which advances at every optimiser step."""
    return LambdaLR(optimizer, learning_rate_factor(training))


def set_learning_rate(optimizer: Optimizer, training: Training, done: int) -> None:
    """Set the learning rate of the step after `done` steps.

    A loaded optimiser has the learning rate of the earlier run, whose `max_steps` may
    differ.
    """
    for group in optimizer.param_groups:
        group["lr"] = training.learning_rate * learning_rate_factor(training)(done)


def _linear_matrices(model: nn.Module) -> set[int]:
    """Return the ids of linear layers' weights that are not tied to an embedding."""
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

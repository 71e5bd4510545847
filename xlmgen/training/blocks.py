"""Find, recompute and compile a model's layers (blocks), one by one.

A block is a member of a `torch.nn.ModuleList`, whatever its class.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from xlmgen.errors import UserError


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """Return the members of the model's outermost module lists, in order."""
    found: list[nn.Module] = []
    for module in model.children():
        if isinstance(module, nn.ModuleList):
            found += list(module)
        else:
            found += blocks_of(module)
    return found


def recompute_activations(model: nn.Module) -> None:
    """Keep only the inputs of each block; the backward pass recomputes the rest.

    Random numbers, such as dropout's, are drawn again from the same state: the
    gradient is the same, bit for bit.

    Raises:
        UserError: the model has no blocks.
    """
    blocks = blocks_of(model)
    if not blocks:
        raise UserError(
            "training.activation_checkpointing: the model has no list of blocks",
            "keep its blocks in a torch.nn.ModuleList, or leave the option out",
        )
    for block in blocks:
        _replace_forward(block, partial(_recomputed, block, block.forward))


def compile_blocks(model: nn.Module) -> None:
    """Compile every block separately, so that hooks on blocks are not compiled."""
    for block in blocks_of(model):
        _replace_forward(block, torch.compile(block.forward))


def _recomputed(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _replace_forward(block: nn.Module, forward: Any) -> None:
    # Set on the object, so that parameter names and the block's class do not change.
    block.forward = forward

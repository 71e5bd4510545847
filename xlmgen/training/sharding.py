"""Shard parameters over processes with FSDP2, through Lightning.

Every process holds a part of each parameter, of its gradient and of the optimiser's
state. The model's layers are gathered one at a time, when they are computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, ParallelStrategy
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from xlmgen.training.blocks import blocks_of


class FullyShardedStrategy(ModelParallelStrategy):
    """FSDP2 with checkpoints of full tensors in one folder, as other strategies have.

    The first process gathers one tensor after the other and writes them. Any number of
    processes can read a checkpoint, with any strategy.

    Args:
        processes: number of processes over which the parameters are sharded.
    """

    def __init__(self, processes: int) -> None:
        super().__init__(
            data_parallel_size=processes,
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
        )

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        assert self.lightning_module is not None
        # With `keep_vars` a tied parameter is one object, and is gathered once.
        full: dict[str, Any] = _gathered(
            self.lightning_module.state_dict(keep_vars=True), self.is_global_zero, {}
        )
        return full

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        if isinstance(optimizer, LightningOptimizer):
            optimizer = optimizer.optimizer
        full: dict[str, Any] = _gathered(
            optimizer.state_dict(), self.is_global_zero, {}
        )
        return full

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        filepath: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        # The average of the weights is sharded like the weights.
        full = _gathered(checkpoint, self.is_global_zero, {})
        ParallelStrategy.save_checkpoint(self, full, filepath, storage_options)

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return self.checkpoint_io.load_checkpoint(checkpoint_path)

    def load_model_state_dict(
        self, checkpoint: Mapping[str, Any], strict: bool = True
    ) -> None:
        assert self.lightning_module is not None
        weights = checkpoint["state_dict"]
        with torch.no_grad():
            for name, own in self.lightning_module.state_dict().items():
                own.copy_(sharded_like(own, weights[name]))

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, full in zip(
            self.optimizers, checkpoint["optimizer_states"], strict=True
        ):
            groups = optimizer.param_groups
            parameters = [p for group in groups for p in group["params"]]
            state = {
                number: {
                    key: sharded_like(parameters[number], value)
                    for key, value in values.items()
                }
                for number, values in full["state"].items()
            }
            optimizer.load_state_dict({**full, "state": state})


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a model's parameters over a mesh of one dimension, layer by layer."""
    for module in (*blocks_of(model), model):
        module.register_forward_hook(_own_memory)  # before FSDP adds its own hook
        fully_shard(module, mesh=mesh)


def gather_weights(model: nn.Module) -> None:
    """Gather all parameters on every process, until `release_weights`.

    Processes may then call the model different numbers of times, as they do when they
    generate answers. A model that is not sharded stays unchanged.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()


def release_weights(model: nn.Module) -> None:
    """Keep only this process's part of every parameter again."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # The model's own parameters stay gathered between forward and backward
            # pass, as by default.
            module.set_reshard_after_forward(module is not model, recurse=False)
            module.reshard()


def _own_memory(module: nn.Module, inputs: Any, output: Any) -> Any:
    """Copy every output of a module that is a view of another tensor.

    FSDP gathers weights for the backward pass by a hook on a module's outputs. A loss
    that writes into a view (`logits[:, mask] = -inf`) would lose that hook.
    """

    def copy(tensor: Tensor) -> Tensor:
        return tensor.clone() if tensor.requires_grad and tensor._is_view() else tensor

    return apply_to_collection(output, Tensor, copy)


def _gathered(value: Any, keep: bool, known: dict[int, Tensor | None]) -> Any:
    """Replace every sharded tensor by the full tensor on the CPU.

    Args:
        value: a tensor, or mappings and lists of them.
        keep: whether this process keeps full tensors; others get None.
        known: full tensors gathered so far, by the id of the sharded tensor.
    """
    if isinstance(value, Mapping):
        return {key: _gathered(item, keep, known) for key, item in value.items()}
    if isinstance(value, list):
        return [_gathered(item, keep, known) for item in value]
    if not isinstance(value, DTensor):
        return value.detach() if isinstance(value, Tensor) else value
    if id(value) not in known:
        full = value.full_tensor().detach()
        known[id(value)] = full.cpu() if keep else None
    return known[id(value)]


def sharded_like(own: Tensor, full: Any) -> Any:
    """Return this process's part of a full tensor, sharded like `own`.

    A value of another shape, such as an optimiser's number of steps, is returned as it
    is.
    """
    if not isinstance(own, DTensor) or not isinstance(full, Tensor):
        return full
    if full.shape != own.shape:
        return full
    return distribute_tensor(
        full.to(own.device), own.device_mesh, own.placements, src_data_rank=None
    )

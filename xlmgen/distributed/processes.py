"""Communication between the processes of a run.

Every function also works in a single process.
"""

from __future__ import annotations

import atexit
import os
from typing import Any, TypeVar

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch import Tensor, distributed

from xlmgen.distributed import launch

T = TypeVar("T")


def rank() -> int:
    """Rank of this process."""
    return distributed.get_rank() if _several() else 0


def count() -> int:
    """Number of processes."""
    return distributed.get_world_size() if _several() else 1


def total(value: Tensor) -> Tensor:
    """Sum over all processes, on the device and without synchronising with it."""
    if count() == 1:
        return value
    value = value.clone()
    distributed.all_reduce(value)
    return value


def gather(value: T) -> list[T]:
    """Gather the values of all processes, in the order of ranks, on all of them.

    A collective call: all processes must make it. Tensors must be on the CPU.
    """
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


def share(loss: Tensor, weight: Tensor) -> Tensor:
    """Weight a loss so that its mean over processes is the mean over all tokens.

    A loss is a mean over tokens (or rows), and their number differs between processes.
    Gradients are averaged over processes with equal weights, so the loss of each must
    be scaled by its share of the tokens.

    Args:
        loss: (), mean over the tokens of this process.
        weight: (), number of these tokens.
    """
    if count() == 1:
        return loss
    weight = weight.detach()
    return loss * (weight * count() / total(weight).clamp(min=1))


def join(device: torch.device) -> None:
    """Join the process group of the launcher, if there is one, until this process ends.

    Training does not call it: Lightning joins the group then.

    Args:
        device: CPU or GPU; each process uses the GPU of its local rank.

    Raises:
        UserError: leftover variables of a launcher that has ended.
    """
    if (launch.started() or 1) == 1 or _several():
        return
    if launch.by_torchrun():  # it sets all variables
        launch.check_rendezvous()
        place: dict[str, int] = {}
        local = int(os.environ["LOCAL_RANK"])
    else:
        slurm = SLURMEnvironment()
        os.environ["MASTER_ADDR"] = slurm.main_address
        os.environ["MASTER_PORT"] = str(slurm.main_port)
        place = {"rank": slurm.global_rank(), "world_size": slurm.world_size()}
        local = slurm.local_rank()
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if gpu else "gloo", **place)  # type: ignore[arg-type]
    atexit.register(distributed.destroy_process_group)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()

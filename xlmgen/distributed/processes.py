"""The processes that share one piece of work, and what they tell each other.

All of it is plain where there is only one process.
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
    """Which of the processes this is."""
    return distributed.get_rank() if _several() else 0


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if _several() else 1


def total(value: Tensor) -> Tensor:
    """The sum over all processes; it stays on the device, and nobody waits for it."""
    if count() == 1:
        return value
    value = value.clone()
    distributed.all_reduce(value)
    return value


def gather(value: T) -> list[T]:
    """What every process has, in the order of their ranks; all of them get it.

    Tensors must be on the CPU. The processes must call it together.
    """
    if count() == 1:
        return [value]
    values: list[Any] = [None] * count()
    distributed.all_gather_object(values, value)
    return values


def share(loss: Tensor, weight: Tensor) -> Tensor:
    """A loss whose mean over the processes is the mean over what all of them have.

    A loss is a mean over tokens (or rows), and processes have different numbers of
    them. The gradients of processes are averaged, each counting the same: so the loss
    of each is weighed here by its share.

    Args:
        loss: (), the mean over what this process has.
        weight: (), how much that is.
    """
    if count() == 1:
        return loss
    weight = weight.detach()
    return loss * (weight * count() / total(weight).clamp(min=1))


def join(device: torch.device) -> None:
    """Meet the other processes that a launcher started, if it did, until this one ends.

    In training this is Lightning's part.

    Args:
        device: its kind; each process takes the GPU of its number on its machine.

    Raises:
        UserError: a launcher that has ended left its variables in the environment.
    """
    if (launch.started() or 1) == 1 or _several():
        return
    if launch.by_torchrun():  # it says everything
        launch.check_meeting()
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

"""The device of a training: whether it suits the settings, and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console

from xlmgen.distributed.launch import check_cores
from xlmgen.errors import UserError
from xlmgen.experiment.settings import Training
from xlmgen.runs.build import device_for


def check_device(settings: Training, console: Console) -> None:
    """Refuse a device or precision that this machine lacks; note a slow precision.

    Raises:
        UserError: names what is missing.
    """
    on_cpu = device_for(settings).type == "cpu"
    if settings.precision == "16-mixed" and on_cpu:
        raise UserError(
            "training.precision: 16-mixed needs a GPU", "use bf16-mixed or 32-true"
        )
    if settings.precision == "bf16-mixed" and on_cpu and emulates_bfloat16():
        console.print(
            "note: training.precision is bf16-mixed and this CPU has no bfloat16 "
            "instructions: it emulates them, several times as slowly as 32-true",
            style="yellow",
            soft_wrap=True,
        )
    require_devices(settings)


def require_devices(settings: Training) -> None:
    """Refuse more devices than this machine has, before any data is read.

    Raises:
        UserError: there are fewer.
    """
    if device_for(settings).type == "cpu":
        check_cores(settings)
    elif settings.devices > (found := torch.cuda.device_count()):
        raise UserError(
            f"training.devices is {settings.devices}, and there are {found} GPUs here",
            f"give at most {found}",
        )


def emulates_bfloat16() -> bool:
    """Whether the CPU is known to lack instructions for bfloat16."""
    read = getattr(torch.cpu, "get_capabilities", dict)  # not in older PyTorch
    capabilities: Mapping[str, Any] = read()
    known = [has for name, has in capabilities.items() if "bf16" in name]
    return bool(known) and not any(known)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or this process has no more memory; PyTorch has no class for
    the CPU's own."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator" in str(error)

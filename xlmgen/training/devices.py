"""Check that the device of a training suits the settings; recognise lack of memory."""

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
        UserError: a device or the precision is missing; the message names it.
    """
    on_cpu = device_for(settings).type == "cpu"
    if settings.precision == "16-mixed" and on_cpu:
        raise UserError(
            "training.precision: 16-mixed needs a GPU", "use bf16-mixed or 32-true"
        )
    if settings.precision == "bf16-mixed" and on_cpu and emulates_bfloat16():
        console.print(
            "note: training.precision is bf16-mixed and this CPU has no bfloat16 "
            "instructions: it emulates them, which is several times slower than "
            "32-true",
            style="yellow",
        )
    require_devices(settings)


def require_devices(settings: Training) -> None:
    """Refuse more devices than this machine has, before any data is read.

    Raises:
        UserError: the machine has fewer devices than `training.devices`.
    """
    if device_for(settings).type == "cpu":
        check_cores(settings)
    elif settings.devices > (found := torch.cuda.device_count()):
        raise UserError(
            f"training.devices is {settings.devices}, but this machine has {found} "
            "GPUs",
            f"set it to at most {found}",
        )


def emulates_bfloat16() -> bool:
    """Whether the CPU is known to lack instructions for bfloat16."""
    read = getattr(torch.cpu, "get_capabilities", dict)  # older PyTorch lacks it
    capabilities: Mapping[str, Any] = read()
    known = [has for name, has in capabilities.items() if "bf16" in name]
    return bool(known) and not any(known)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error means that a device or this process is out of memory.

    PyTorch has no class of its own for errors of the CPU's allocator.
    """
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator" in str(error)

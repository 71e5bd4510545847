"""The CPU that a run is trained on, and the record of it beside the run."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlmgen.io.files import write_text

VECTOR = {
    "avx2": "avx2",
    "avx512_f": "avx512",
    "avx512_bf16": "avx512_bf16",
    "amx_bf16": "amx_bf16",
    "neon": "neon",
    "sve": "sve",
    "bf16": "bf16",
}
"""Vector instructions that are named: PyTorch's name of each, and ours."""


def hardware(threads: int, torch_version: str | None = None) -> dict[str, Any]:
    """Describe this machine.

    Args:
        threads: of a run.
        torch_version: of the run, where it is not the one of this interpreter.
    """
    import torch

    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    vector = [ours for theirs, ours in VECTOR.items() if found.get(theirs)]
    if not found:  # an older PyTorch
        vector = [torch.backends.cpu.get_cpu_capability().lower()]
    return {
        "cpu": found.get("cpu_name") or platform.processor() or platform.machine(),
        "vector": vector,
        "threads": threads,
        "torch": torch_version or torch.__version__,
    }


def record(path: Path, machine: Mapping[str, Any]) -> None:
    """Add a machine to the record of a run, unless the run was there last."""
    earlier = recorded(path)
    if not earlier or earlier[-1] != machine:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps([*earlier, machine], indent=2) + "\n")


def recorded(path: Path) -> list[Mapping[str, Any]]:
    """The machines of a run in the order that it was trained on them."""
    if not path.is_file():
        return []
    machines: list[Mapping[str, Any]] = json.loads(path.read_text("utf-8"))
    return machines


def sentence(machine: Mapping[str, Any]) -> str:
    """`AMD EPYC (avx2, avx512), 1 thread, PyTorch 2.13.0+cpu`."""
    vector = ", ".join(machine["vector"]) or "no vector instructions known"
    threads = machine["threads"]
    return (
        f"{machine['cpu']} ({vector}), {threads} thread{'s' * (threads != 1)}, "
        f"PyTorch {machine['torch']}"
    )

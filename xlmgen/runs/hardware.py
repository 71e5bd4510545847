"""Hardware of this machine, by files of the system; no torch."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

GPUS = Path("/proc/driver/nvidia/gpus")
"""One entry per GPU, where NVIDIA's driver for Linux is loaded."""
CPU = Path("/proc/cpuinfo")


def hardware() -> str:
    """Cores, processor and GPUs, such as `8 cores, AMD EPYC 9654, 2 × NVIDIA H200`."""
    found = [f"{os.cpu_count() or 1} cores"]
    found += _models(CPU, "model name")[:1]
    files = sorted(GPUS.glob("*/information"))
    gpus = Counter(model for file in files for model in _models(file, "Model"))
    found += [f"{count} × {model}" for model, count in gpus.items()]
    return ", ".join(found)


def _models(file: Path, key: str) -> list[str]:
    """The values of a key in a file of lines `key: value`; none if it is missing."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return re.findall(rf"^{key}\s*:\s*(.*?)\s*$", text, re.MULTILINE)

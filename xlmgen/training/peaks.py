"""What GPUs could compute at best, for the share of it that training uses."""

from __future__ import annotations

import re

import torch

TERA = 1e12
# Operations per second with dense matrices, in 16 bits (accumulated in 32) and in 32
# bits outside tensor cores: NVIDIA's data sheets of the products. A name is that of the
# device if all of its words are in the device's; the first that is counts.
PEAKS = (
    ("B200", 2250, 75),
    ("H200", 989, 67),
    ("H100 PCIe", 756, 51),
    ("H100 NVL", 835, 60),
    ("H100", 989, 67),
    ("A100", 312, 19.5),
    ("L40S", 362, 91.6),
    ("L4", 121, 30.3),
    ("RTX 4090", 165, 82.6),
    ("RTX 3090", 71, 35.6),
    ("V100", 125, 15.7),
    ("T4", 65, 8.1),
)


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Operations per second of a device at its best; None where it is not known."""
    if device.type != "cuda":
        return None
    if precision == "32-true" and torch.get_float32_matmul_precision() != "highest":
        return None  # its matrices are multiplied in fewer bits
    return peak_of(torch.cuda.get_device_name(device), precision)


def peak_of(name: str, precision: str) -> float | None:
    """The same for a device's name, such as `NVIDIA H100 80GB HBM3`."""
    words = set(re.split(r"[\s-]+", name))
    for known, half, single in PEAKS:
        if set(known.split()) <= words:
            return TERA * (single if precision == "32-true" else half)
    return None

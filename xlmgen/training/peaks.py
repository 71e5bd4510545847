"""Peak operations per second of GPUs, for model FLOPs utilisation (MFU)."""

from __future__ import annotations

import re

import torch

TERA = 1e12
# Tera-operations per second with dense matrices in bfloat16, float16 (both accumulated
# in 32 bits) and, outside tensor cores, float32: NVIDIA's data sheets and white papers
# of the products. The first entry whose words are all in a device's name applies.
PEAKS: tuple[tuple[str, float | None, float, float], ...] = (
    ("B200", 2250, 2250, 75),
    ("GH200", 989, 989, 67),
    ("H200 NVL", 835, 835, 60),
    ("H200", 989, 989, 67),
    ("H100 PCIe", 756, 756, 51),
    ("H100 NVL", 835, 835, 60),
    ("H100", 989, 989, 67),
    ("A100", 312, 312, 19.5),
    ("L40S", 362, 362, 91.6),
    ("L4", 121, 121, 30.3),
    ("RTX 4090", 165, 165, 82.6),
    ("RTX 3090", 71, 71, 35.6),
    ("V100 SXM2", None, 125, 15.7),
    ("T4", None, 65, 8.1),
)


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Peak operations per second of a device; None if unknown."""
    if device.type != "cuda":
        return None
    if precision == "32-true" and torch.get_float32_matmul_precision() != "highest":
        return None  # matrices are multiplied in fewer than 32 bits
    return peak_of(torch.cuda.get_device_name(device), precision)


def peak_of(name: str, precision: str) -> float | None:
    """Peak operations per second by a device's name: `NVIDIA H100 80GB HBM3`."""
    words = set(re.split(r"[\s-]+", name))
    for known, bfloat16, float16, float32 in PEAKS:
        if set(known.split()) <= words:
            kinds = {"bf16-mixed": bfloat16, "16-mixed": float16, "32-true": float32}
            peak = kinds.get(precision)
            return None if peak is None else TERA * peak
    return None

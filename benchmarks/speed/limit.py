"""What this machine can do at most: multiply matrices and move memory."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from benchmarks.speed.shapes import Shape
from xlmgen.runtime.nn import Linear

REPEATS = 7
COPIED = 64 * 2**20
"""Bytes of the copy: more than a processor's cache holds."""


def best(run: Callable[[], object]) -> float:
    """The least seconds of several runs."""
    run()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def matrix_rate(shape: Shape) -> float:
    """Operations per second of the widest product of a layer, in float32.

    By the better of the libraries that PyTorch can give it to.
    """
    rows, width = shape.batch * shape.length, shape.d_model
    x = torch.randn(rows, width)
    layers = [kind(width, 4 * width, bias=False) for kind in (nn.Linear, Linear)]
    with torch.no_grad():
        seconds = min(best(partial(layer, x)) for layer in layers)
    return 2 * rows * width * 4 * width / seconds


def copy_rate() -> float:
    """Bytes per second of a copy, read and written bytes counted."""
    source = torch.zeros(COPIED, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * COPIED / best(lambda: target.copy_(source))

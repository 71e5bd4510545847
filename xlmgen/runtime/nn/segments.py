"""Sums over the rows of a batch whose entries lie in one flat tensor.

Rows of different lengths need no padding this way, and nothing is read back from the
device. N entries, B segments.
"""

import torch
from torch import Tensor


def segment_sum(values: Tensor, segment: Tensor, number: int) -> Tensor:
    """Sum of every segment, 0 for an empty one.

    Args:
        values: (N,).
        segment: (N,) int64, which segment each entry belongs to.
        number: B.

    Returns:
        (B,)
    """
    return values.new_zeros(number).index_add(0, segment, values)


def segment_logsumexp(values: Tensor, segment: Tensor, number: int) -> Tensor:
    """log Σ exp of every segment, −∞ for an empty one.

    Args:
        values: (N,).
        segment: (N,) int64, which segment each entry belongs to.
        number: B.

    Returns:
        (B,)
    """
    top = values.new_full((number,), -torch.inf)
    top = top.scatter_reduce(0, segment, values.detach(), "amax")
    top = top.masked_fill(top.isinf(), 0)  # an empty segment would be −∞ − (−∞)
    total = segment_sum((values - top[segment]).exp(), segment, number)
    return total.log() + top

"""Whether samples follow a distribution that is known exactly."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_EXPECTED = 5.0
"""Cells that are expected less often share one: the usual rule for chi-square."""


def p_value(counts: Tensor, probs: Tensor) -> float:
    """Pearson's chi-square test of counts against probabilities.

    Args:
        counts: any shape.
        probs: of the same shape, adding up to 1.

    Returns:
        the probability of a deviation at least as large; 0 where something happened
        that has no probability.
    """
    counts, probs = counts.flatten().double(), probs.flatten().double()
    if bool((counts[probs < 1e-9] > 0).any()):
        return 0.0
    counts, probs = counts[probs >= 1e-9], probs[probs >= 1e-9]
    expected = probs * counts.sum()
    rare = expected < LEAST_EXPECTED
    if bool(rare.any()):
        merged = torch.stack((counts[rare].sum(), expected[rare].sum()))
        counts = torch.cat((counts[~rare], merged[:1]))
        expected = torch.cat((expected[~rare], merged[1:]))
    if len(counts) < 2:
        return 1.0
    statistic = ((counts - expected).square() / expected).sum()
    degrees = torch.tensor(len(counts) - 1, dtype=torch.float64)
    return float(torch.special.gammaincc(degrees / 2, statistic / 2))


def tally(samples: Tensor, vocab_size: int) -> Tensor:
    """How often each string of tokens (N, n) occurs: (V, …, V), n dimensions."""
    places = vocab_size ** torch.arange(samples.shape[1] - 1, -1, -1)
    cells = vocab_size ** samples.shape[1]
    counts = (samples * places).sum(1).bincount(minlength=cells)
    return counts.view((vocab_size,) * samples.shape[1])


def total_variation(one: Tensor, other: Tensor) -> float:
    """Half the sum of the differences of two distributions."""
    return float((one - other).abs().sum() / 2)

"""Compare samples with an exactly known distribution."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_EXPECTED = 5.0
"""Cells with smaller expected counts are merged, as usual for chi-square tests."""


def p_value(counts: Tensor, probs: Tensor) -> float:
    """Compute the p-value of Pearson's chi-square test of counts.

    Args:
        counts: any shape.
        probs: of the same shape, with sum 1.

    Returns:
        the probability of a deviation at least as large; 0 if an event of probability 0
        was counted.
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
    """Count the strings of tokens (N, n) in a tensor (V, …, V) of n dimensions."""
    places = vocab_size ** torch.arange(samples.shape[1] - 1, -1, -1)
    cells = vocab_size ** samples.shape[1]
    counts = (samples * places).sum(1).bincount(minlength=cells)
    return counts.view((vocab_size,) * samples.shape[1])


def total_variation(one: Tensor, other: Tensor) -> float:
    """Compute half the sum of the absolute differences of two distributions."""
    return float((one - other).abs().sum() / 2)

"""Confidence intervals of mean differences over seeds and examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence level of all intervals."""
MANY = 1000.0
"""Degrees of freedom from which Student's distribution is taken as normal."""
_NODES = np.linspace(0.0, 1.0, 2001)


@dataclass(frozen=True)
class Interval:
    """Mean difference with a confidence interval.

    Args:
        mean: of the differences.
        low, high: of the interval at `LEVEL`; NaN where it cannot be estimated.
        seeds: number of pairs of trainings.
        rows: number of examples that both answered; 0 where differences are not
            paired by example.
    """

    mean: float
    low: float
    high: float
    seeds: int
    rows: int


def over_seeds(differences: Sequence[float]) -> Interval:
    """Student's interval of one difference per seed; NaN for a single seed."""
    count = len(differences)
    error = stdev(differences) / math.sqrt(count) if count > 1 else math.nan
    return _interval(fmean(differences), error, count - 1, count, 0)


def over_seeds_and_rows(differences: NDArray[np.float64]) -> Interval:
    """Interval of the mean of a table of differences, both of whose sides are random.

    Seeds and examples are samples of all trainings and of all questions. Their mean
    squares give the variance of the mean, and the degrees of freedom follow Hillis
    (2007, Statistics in Medicine 26:596), who studies readers and patients. The
    standard error is at least that over seeds alone. For one seed the interval is over
    examples alone.

    Args:
        differences: (seeds, rows), finite.
    """
    seeds, rows = differences.shape
    mean = float(differences.mean())
    of_seeds, of_rows = differences.mean(1), differences.mean(0)
    if seeds == 1:
        error = float(of_rows.std(ddof=1)) / math.sqrt(rows) if rows > 1 else math.nan
        return _interval(mean, error, rows - 1, 1, rows)
    if rows == 1:
        return _interval(mean, math.nan, 1, seeds, rows)
    residual = differences - of_seeds[:, None] - of_rows + mean
    between_seeds = rows * float(of_seeds.var(ddof=1))
    between_rows = seeds * float(of_rows.var(ddof=1))
    within = float(np.square(residual).sum()) / ((seeds - 1) * (rows - 1))
    total = between_seeds + max(0.0, between_rows - within)
    error = math.sqrt(total / (seeds * rows))
    freedom = math.inf
    if between_seeds > 0:
        freedom = (seeds - 1) * (total / between_seeds) ** 2
    return _interval(mean, error, freedom, seeds, rows)


def _interval(
    mean: float, error: float, freedom: float, seeds: int, rows: int
) -> Interval:
    if math.isnan(error):
        return Interval(mean, math.nan, math.nan, seeds, rows)
    margin = error * student_quantile(freedom)
    return Interval(mean, mean - margin, mean + margin, seeds, rows)


def student_quantile(freedom: float, level: float = LEVEL) -> float:
    """Value that |t| of Student's distribution stays below with this probability.

    With t = √ν · tan θ the density of θ is proportional to cos^(ν−1) θ on [0, π/2],
    which is integrated by the trapezoidal rule.

    Args:
        freedom: degrees of freedom ν ≥ 1.
        level: the probability.
    """
    if freedom > MANY:
        return NormalDist().inv_cdf((1 + level) / 2)
    angle = _NODES * (math.pi / 2)
    density = np.cos(angle) ** (freedom - 1)
    steps = [(a + b) / 2 for a, b in pairwise(density.tolist())]
    share = np.concatenate([[0.0], np.cumsum(steps)]) / math.fsum(steps)
    theta = float(np.interp(level, share, angle))
    return math.sqrt(freedom) * math.tan(theta)

"""Evaluations of several seeds: their means, and differences of such means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xlmgen.comparison.interval import Interval, over_seeds, over_seeds_and_rows
from xlmgen.comparison.measured import Measured
from xlmgen.comparison.paired import QUESTION
from xlmgen.io.json_schema import is_number

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Mean:
    """Mean of a metric over seeds.

    Args:
        value: the mean, or the value of a single seed.
        error: one standard error: over seeds, or of a single seed over rows.
    """

    value: float
    error: float


@dataclass(frozen=True)
class Group:
    """Evaluations that differ only in the seed of training.

    Args:
        members: in the order of the runs.
    """

    members: tuple[Measured, ...]

    @cached_property
    def by_seed(self) -> dict[int, Measured]:
        """The first evaluation of every seed, in order."""
        found: dict[int, Measured] = {}
        for one in self.members:
            found.setdefault(one.run.experiment.training.seed, one)
        return dict(sorted(found.items()))

    @property
    def first(self) -> Measured:
        return self.members[0]

    @property
    def is_bound(self) -> bool:
        """Whether the likelihood of a member is a bound."""
        return any(one.is_bound for one in self.members)

    @property
    def nats(self) -> Mean | None:
        """Nats per data token; None if a member has no likelihood."""
        found = [one.nats for one in self.by_seed.values()]
        known = [number for number in found if number is not None]
        if len(known) < len(found):
            return None
        return _mean([n.value for n in known], known[0].error)

    def mean(self, metric: str) -> Mean | None:
        """Mean of a metric; None if a member does not have it."""
        found = [one.numbers.get(metric) for one in self.by_seed.values()]
        known = [number for number in found if number is not None]
        if len(known) < len(found):
            return None
        return _mean([n.value for n in known], known[0].error)

    @property
    def passes(self) -> float | None:
        """Mean number of forward passes to answer a batch; None without answers."""
        found = [one.passes for one in self.by_seed.values()]
        known = [passes for passes in found if passes is not None]
        return fmean(known) if len(known) == len(found) else None


def _mean(values: Sequence[float], error: float) -> Mean:
    if len(values) > 1:
        error = stdev(values) / math.sqrt(len(values))
    return Mean(fmean(values), error)


def difference(group: Group, other: Group, metric: str) -> Interval | None:
    """Mean difference of a metric between two groups, paired by seed and by example.

    Returns:
        None if they have no seed in common, or one of them does not have the metric.
    """
    pairs = _pairs(group, other)
    numbers = [(a.numbers.get(metric), b.numbers.get(metric)) for a, b in pairs]
    deltas = [a.value - b.value for a, b in numbers if a and b]
    if not pairs or len(deltas) < len(pairs):
        return None
    tables = [[_by_row(m.rows, metric) for m in pair] for pair in pairs]
    questions = [[_questions(m.rows) for m in pair] for pair in pairs]
    rows = _common_rows(questions, tables)
    if rows is None:
        return over_seeds(deltas)
    return over_seeds_and_rows(
        np.array([[a[row] - b[row] for row in rows] for a, b in tables], dtype=float)
    )


def nats_difference(group: Group, other: Group) -> Interval | None:
    """Difference in nats per data token, paired by seed and by example.

    A row counts by its tokens: it is the linear part of the ratio of sums (delta
    method), whose mean is exactly the difference of the ratios.

    Returns:
        None if they have no seed in common, or one of them has no likelihood.
    """
    pairs = _pairs(group, other)
    numbers = [(a.nats, b.nats) for a, b in pairs]
    deltas = [a.value - b.value for a, b in numbers if a and b]
    if not pairs or len(deltas) < len(pairs):
        return None
    tables = [[_by_row(m.likelihoods, "nats") for m in pair] for pair in pairs]
    examples = [
        [{row["row"]: row["example"] for row in m.likelihoods} for m in pair]
        for pair in pairs
    ]
    rows = _common_rows(examples, tables)
    if rows is None:
        return over_seeds(deltas)
    nats = np.array([[a[row] - b[row] for row in rows] for a, b in tables])
    counts = {row["row"]: row["tokens"] for row in pairs[0][0].likelihoods}
    return over_seeds_and_rows(_linear(nats, np.array([counts[row] for row in rows])))


def _linear(nats: NDArray[Any], tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Values of every row whose mean is `Σ nats / Σ tokens`. (seeds, rows)"""
    ratio = nats.mean() / tokens.mean()
    return np.asarray((nats - ratio * tokens) / tokens.mean() + ratio, dtype=float)


def _pairs(group: Group, other: Group) -> list[tuple[Measured, Measured]]:
    """Evaluations of both groups with equal seeds."""
    return [
        (one, other.by_seed[seed])
        for seed, one in group.by_seed.items()
        if seed in other.by_seed
    ]


def _by_row(rows: Rows, key: str) -> dict[int, float]:
    return {row["row"]: row[key] for row in rows if is_number(row.get(key))}


def _questions(rows: Rows) -> dict[int, Any]:
    return {row["row"]: tuple(row.get(key) for key in QUESTION) for row in rows}


def _common_rows(
    questions: Sequence[Sequence[Mapping[int, Any]]],
    values: Sequence[Sequence[Mapping[int, float]]],
) -> list[int] | None:
    """Rows that all evaluations answered; None if a question or a value differs.

    Args:
        questions: of the rows of every evaluation, in pairs.
        values: of the rows of every evaluation, in pairs.
    """
    asked = [one for pair in questions for one in pair]
    rows = sorted(set(asked[0]).intersection(*asked[1:]))
    same = all(one[row] == asked[0][row] for one in asked[1:] for row in rows)
    scored = all(row in one for pair in values for one in pair for row in rows)
    return rows if rows and same and scored else None

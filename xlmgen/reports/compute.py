"""Parameters and training compute of runs, from the files in their folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from xlmgen.comparison.comparison import Comparison, parameters_of
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import THROUGHPUT, Run

FLOPS_PER_PARAMETER = 6
"""Floating-point operations of training per parameter and token (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1): 2 forward, 4 backward; attention scores are left out."""
UNEQUAL = 1.5
"""Ratio of compute from which runs are called unequal."""


@dataclass(frozen=True)
class Compute:
    """Mean cost of the runs of a group; None where no file tells.

    Args:
        name: of the group.
        parameters: of the network.
        steps: optimiser steps.
        tokens: positions that the network read in training, padding included.
        seconds: of training, without validations and checkpoints.
    """

    name: str
    parameters: float | None
    steps: float | None
    tokens: float | None
    seconds: float | None

    @property
    def flops(self) -> float | None:
        """Estimated floating-point operations of the training."""
        if self.parameters is None or self.tokens is None:
            return None
        return FLOPS_PER_PARAMETER * self.parameters * self.tokens


def compute(found: Comparison) -> list[Compute]:
    """Cost of every group of runs."""
    costs = []
    for runs in found.run_groups:
        steps, tokens, seconds = zip(*map(_training, runs), strict=True)
        costs.append(
            Compute(
                found.common_name(runs),
                _mean([parameters_of(run) for run in runs]),
                _mean(steps),
                _mean(tokens),
                _mean(seconds),
            )
        )
    return costs


def _training(run: Run) -> tuple[float | None, float | None, float | None]:
    """Steps, tokens and seconds by the intervals of `throughput.csv`."""
    before, tokens, seconds = 0, 0.0, 0.0
    for row in read_rows(run.path / THROUGHPUT):
        step, speed = int(row["step"]), float(row.get("speed/steps_per_s", 0))
        if step <= before or not speed:
            continue
        interval = (step - before) / speed
        tokens += interval * float(row.get("speed/tokens_per_s", 0))
        seconds += interval
        before = step
    return before or None, tokens or None, seconds or None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def unequal(costs: Sequence[Compute]) -> str:
    """A note if the most expensive training took `UNEQUAL` times the cheapest."""
    known = [(cost.flops, cost.name) for cost in costs if cost.flops]
    if not known:
        return ""
    (low, cheap), (high, dear) = min(known), max(known)
    if high / low <= UNEQUAL:
        return ""
    return (
        f"training compute is not equal: {dear} took {high / low:.1f} times the "
        f"operations of {cheap}"
    )

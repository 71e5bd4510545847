"""Charts of a comparison: learning curves, and quality against forward passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev

from xlmgen.comparison.comparison import Comparison
from xlmgen.comparison.groups import Group
from xlmgen.comparison.tables import titles
from xlmgen.evaluation.scores import SHARES
from xlmgen.reports.chart import Chart, Line, Point
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import METRICS, Run

VALIDATION = "val/"
LOSS = "loss"
Curve = list[tuple[float, float]]


def learning_charts(found: Comparison) -> Iterator[Chart]:
    """A chart of every metric of the validations over steps: scores, then the loss.

    A mean and its error need a validation of all seeds at the same step. After the
    first seed has stopped, only the lines of the other seeds go on.
    """
    rows = {run.path: read_rows(run.path / METRICS) for run in found.runs}
    for metric in [*_scores(found), LOSS]:
        lines = []
        for style, runs in enumerate(found.run_groups):
            seeds = _first_of_each_seed(runs)
            curves = [_curve(rows[run.path], metric) for run in seeds]
            if any(curves):
                name = found.common_name(runs)
                lines.append(Line(name, style, mean_curve(curves), curves))
        if lines:
            (title,) = titles([metric])
            share = metric in SHARES
            yield Chart(
                key=f"learning-{metric}",
                title=f"validation: {title}",
                x_label="optimiser steps",
                y_label=f"{title} in %" if share else title,
                lines=lines,
                is_share=share,
            )


def _scores(found: Comparison) -> list[str]:
    """Metrics of the runs' tasks, in their order."""
    return list(dict.fromkeys(m for run in found.runs for m in run.load_task().metrics))


def _first_of_each_seed(runs: Sequence[Run]) -> list[Run]:
    found: dict[int, Run] = {}
    for run in runs:
        found.setdefault(run.experiment.training.seed, run)
    return list(found.values())


def _curve(rows: Sequence[Mapping[str, str]], metric: str) -> Curve:
    """Steps and finite values of a metric; the last value of a step counts."""
    values: dict[float, float] = {}
    for row in rows:
        text = row.get(f"{VALIDATION}{metric}")
        if text is not None and math.isfinite(value := float(text)):
            values[float(row["step"])] = value
    return sorted(values.items())


def mean_curve(curves: Sequence[Curve]) -> list[Point]:
    """Means and standard errors at the steps that all of the curves have."""
    values = [dict(curve) for curve in curves]
    steps = sorted(set(values[0]).intersection(*values[1:]))
    return [_point(step, [one[step] for one in values]) for step in steps]


def _point(x: float, values: Sequence[float]) -> Point:
    error = math.nan
    if len(values) > 1:
        error = stdev(values) / math.sqrt(len(values))
    return Point(x, fmean(values), error)


def quality_charts(found: Comparison) -> Iterator[Chart]:
    """A chart of every score over forward passes, if runs were decoded in several ways.

    Forward passes are per batch of answers: the mean over batches and seeds.
    """
    groups: dict[int, list[Group]] = {}
    for group in found.groups:
        if group.passes:
            groups.setdefault(found.run_group_of(group.first.run), []).append(group)
    if all(len({group.passes for group in some}) < 2 for some in groups.values()):
        return
    for metric in found.metrics:
        lines = [
            Line(found.common_name(found.run_groups[style]), style, points)
            for style, some in groups.items()
            if (points := _quality(some, metric))
        ]
        if lines:
            (title,) = titles([metric])
            share = metric in SHARES
            yield Chart(
                key=f"passes-{metric}",
                title=f"{found.split} split: {title}",
                x_label="forward passes per batch",
                y_label=f"{title} in %" if share else title,
                lines=lines,
                is_share=share,
                is_log=True,
                has_markers=True,
            )


def _quality(groups: Sequence[Group], metric: str) -> list[Point]:
    points = []
    for group in groups:
        mean, passes = group.mean(metric), group.passes
        if mean is not None and passes and math.isfinite(mean.value):
            error = mean.error if len(group.by_seed) > 1 else math.nan
            points.append(Point(passes, mean.value, error))
    return sorted(points, key=lambda point: point.x)

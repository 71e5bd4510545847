"""Numbers as a person reads them."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from benchmarks.learn.target import falls


def number(metric: str, value: float) -> str:
    """A loss with four digits, a share in per cent."""
    return f"{value:.4f}" if falls(metric) else percent(value)


def percent(share: float, error: float | None = None) -> str:
    """`97.0 %`, or `97.0 ± 0.5 %`."""
    shown = f"{100 * share:.1f}"
    if error is not None and math.isfinite(error):
        shown += f" ± {100 * error:.1f}"
    return f"{shown} %"


def duration(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"


def mean_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; NaN for the error of a single value."""
    if len(values) < 2:
        return fmean(values), math.nan
    return fmean(values), stdev(values) / math.sqrt(len(values))

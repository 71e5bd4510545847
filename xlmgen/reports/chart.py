"""Line charts without a drawing library: what the page and the figures both draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PALETTE = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#666666", "#a0522d"),
)
"""Colours that colour-blind people can distinguish (Okabe and Ito 2008)."""
DASHES = (
    (),
    (6, 3),
    (2, 2),
    (8, 3, 2, 3),
    (10, 3),
    (3, 3, 1, 3),
    (12, 2, 2, 2),
    (1, 3),
)
"""Lengths of strokes and gaps, by which lines differ in black and white."""
MARKERS = "osD^vPX*"
"""Shapes of points, in the notation of matplotlib."""


@dataclass(frozen=True)
class Point:
    """A point of a line.

    Args:
        x, y: the coordinates.
        error: one standard error of y over seeds; NaN for a single seed.
    """

    x: float
    y: float
    error: float


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        name: shown in the legend.
        style: number of its colour, dash and marker, the same in every chart.
        points: by ascending x.
        seeds: lines of the single seeds, as pairs of x and y.
    """

    name: str
    style: int
    points: Sequence[Point]
    seeds: Sequence[Sequence[tuple[float, float]]] = ()


@dataclass(frozen=True)
class Chart:
    """A chart of several lines.

    Args:
        key: name of its files.
        title: one line.
        x_label, y_label: with the unit.
        lines: at least one.
        is_share: whether y is a share, which is drawn in percent.
        is_log: whether x has a logarithmic scale.
        has_markers: whether points are marked and connected, rather than a curve.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    is_share: bool = False
    is_log: bool = False
    has_markers: bool = False

    @property
    def x_range(self) -> tuple[float, float]:
        values = [point.x for line in self.lines for point in line.points]
        values += [x for line in self.lines for seed in line.seeds for x, _ in seed]
        return min(values), max(values)

    @property
    def y_range(self) -> tuple[float, float]:
        """Range of y; a share is drawn from 0, and up to 1 if all values are 0."""
        low, high = [], []
        for line in self.lines:
            for point in line.points:
                error = 0.0 if math.isnan(point.error) else point.error
                low.append(point.y - error)
                high.append(point.y + error)
            values = [y for seed in line.seeds for _, y in seed]
            low += values
            high += values
        return (0.0, max(high) or 1.0) if self.is_share else (min(low), max(high))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values that cover a range, a step of 1, 2 or 5 times a power of ten apart.

    Args:
        most: roughly the number of values.
    """
    if high <= low:
        low, high = low - abs(low) / 2 - 0.5, high + abs(high) / 2 + 0.5
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of two, or of a higher power of two, that cover a range."""
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    step = max(1, math.ceil((last - first) / 8))
    found = [2.0**n for n in range(first, last + step, step)]
    return found if len(found) > 1 else [found[0], 2 * found[0]]

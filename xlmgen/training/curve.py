"""Draw the curve of a run's validations in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xlmgen.training.progress import PER_CENT, show

BARS = " ▁▂▃▄▅▆▇█"
"""Characters by the filled part of a cell, in eighths."""
HEIGHT = 8
WIDTH = 60
FEWEST = 3
"""Minimum number of validations for a curve."""


def learning_curve(rows: Sequence[Mapping[str, str]], width: int = WIDTH) -> list[str]:
    """Draw a run's first score over its steps, or its loss if it has no scores.

    Args:
        rows: of metrics.csv.
        width: columns of the terminal.

    Returns:
        lines of text; none if there are fewer than `FEWEST` validations.
    """
    names = dict.fromkeys(n for row in rows for n in row if n.startswith("val/"))
    name = next((n for n in names if n.endswith(PER_CENT)), "val/loss")
    points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
    points = [(step, value) for step, value in points if value == value]  # not NaN
    if len(points) < FEWEST:
        return []
    values = [value for _, value in points]
    low, high = (0.0, 1.0) if name.endswith(PER_CENT) else (min(values), max(values))
    top, bottom = show(name, high), show(name, low)
    margin = max(len(top), len(bottom))
    columns = max(10, min(WIDTH, width - margin - 3))
    lines = list(_area(_columns(points, columns), low, high))
    labels = [top, *[""] * (HEIGHT - 2), bottom]
    drawn = [
        f"{label:>{margin}} ┤{line}".rstrip()
        for label, line in zip(labels, lines, strict=True)
    ]
    last = f"step {points[-1][0]}"
    return [
        name,
        *drawn,
        f"{'':{margin}} └{'─' * columns}",
        f"{last:>{margin + 2 + columns}}",
    ]


def _columns(points: Sequence[tuple[int, float]], columns: int) -> list[float | None]:
    """Return the latest value of each column; None before the first validation."""
    end = points[-1][0]
    found: list[float | None] = []
    for column in range(1, columns + 1):
        before = [value for step, value in points if step * columns <= end * column]
        found.append(before[-1] if before else None)
    return found


def _area(values: Sequence[float | None], low: float, high: float) -> Iterator[str]:
    """Yield lines from top to bottom, filled up to each value."""
    eighths = [
        0
        if value is None
        else max(1, round((value - low) / ((high - low) or 1.0) * HEIGHT * 8))
        for value in values
    ]
    for line in range(HEIGHT - 1, -1, -1):
        yield "".join(BARS[min(8, max(0, filled - 8 * line))] for filled in eighths)

"""Text histogram of lengths, with a mark at the maximum length."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from xlmgen.data.examples import Ints

MOST = 12  # most bins
EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR, BEYOND, LIMIT = "#2fa8dd", "#ec6a3b", "#c5b71f"


@dataclass(frozen=True)
class Bin:
    """Number of lengths from `low` to `high`, both included.

    Args:
        low: shortest length.
        high: longest length; None for unbounded.
        count: number of lengths.
    """

    low: int
    high: int | None
    count: int


@dataclass(frozen=True)
class Histogram:
    """Histogram of the lengths of one part of a split's examples."""

    limit: int
    min: int
    median: float
    max: int
    over: int
    bins: tuple[Bin, ...]

    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def histogram(lengths: Ints, limit: int) -> Histogram:
    """Histogram with bins of equal width, one of which ends at the limit.

    The last bin has all lengths above twice the limit; otherwise a few long documents
    would put all others into one bin.
    """
    if not len(lengths):
        return Histogram(limit, 0, 0.0, 0, 0, ())
    low, high = int(lengths.min()), int(lengths.max())
    end = min(high, max(2 * limit, low))
    width = -(-(end - low + 1) // MOST)
    start = limit + 1 - -(-(limit + 1 - low) // width) * width
    edges = list(range(start, end + width + 1, width))
    counts = np.histogram(lengths, bins=[*edges[:-1], np.inf])[0].tolist()
    bins = [
        Bin(max(edge, low), min(edge + width - 1, high), count)
        for edge, count in zip(edges, counts, strict=False)
    ]
    if high > edges[-1] - 1:
        bins[-1] = Bin(bins[-1].low, None, bins[-1].count)
    while bins[-1].count == 0:
        bins.pop()
    return Histogram(
        limit,
        low,
        float(np.median(lengths)),
        high,
        int((lengths > limit).sum()),
        tuple(bins),
    )


def show_histogram(console: Console, name: str, shown: Histogram, end: str) -> None:
    """Print bars that fit the width of the console.

    Args:
        console: to print on.
        name: of the part of the examples.
        shown: the histogram.
        end: text at the mark of the limit.
    """
    console.print(
        Text.assemble(
            (name, "bold"),
            f"  min {shown.min:,}  median {shown.median:,.6g}  max {shown.max:,}",
        ),
        soft_wrap=True,
    )
    labels = [_label(bin_) for bin_ in shown.bins]
    indent = max((len(label) for label in labels), default=0) + 2
    most = max((bin_.count for bin_ in shown.bins), default=0)
    total = sum(bin_.count for bin_ in shown.bins)
    tails = [
        f" {bin_.count:,}  {100 * bin_.count / total:.1f} %" for bin_ in shown.bins
    ]
    width = console.width - indent - 1 - max(map(len, tails), default=0)
    marked = False
    for bin_, label, tail in zip(shown.bins, labels, tails, strict=True):
        beyond = bin_.low > shown.limit
        if beyond and not marked:
            marked = _mark(console, indent, shown, end)
        console.print(
            Text.assemble(
                (f"{label:>{indent}} ", "dim"),
                (_bar(bin_.count / most, max(8, width)), BEYOND if beyond else BAR),
                tail,
            ),
            soft_wrap=True,
        )
    if not marked:
        _mark(console, indent, shown, end)


def _mark(console: Console, indent: int, shown: Histogram, end: str) -> bool:
    text = f"{shown.limit:>{indent},} ┄┄┄┄ {end}"
    if shown.over:
        text += f"; {shown.over:,} longer"
    console.print(Text(text, LIMIT), soft_wrap=True)
    return True


def _label(bin_: Bin) -> str:
    if bin_.high is None:
        return f"{bin_.low:,}–"
    if bin_.high == bin_.low:
        return f"{bin_.low:,}"
    return f"{bin_.low:,}–{bin_.high:,}"


def _bar(share: float, width: int) -> str:
    """A bar in eighths of a character; at least one eighth for a positive share."""
    eighths = round(share * width * 8)
    if share and not eighths:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return "█" * full + EIGHTHS[rest].strip()

"""The curves of all samplers as an SVG. Needs the extra `bench`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sample.options import PANELS, SAMPLERS

LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "x")
REFERENCE = "random"
EXACT = 1e-7
"""Nats per token; a mean below it is rounding, and drawn at the bottom."""
BOTTOM = 1e-3
FAR = 3.0
"""Points whose numbers of passes differ by more are not joined."""

Points = Sequence[Mapping[str, Any]]


def draw(path: Path, points: Points, floor: float) -> None:
    """Draw divergence and total variation over passes: a column for every panel.

    Curves differ in line and marker, not in colour.

    Args:
        points: results of `measure`.
        floor: total variation of exact samples.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "xlmgen"
    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot

    names = {point["name"] for point in points}
    figure, axes = pyplot.subplots(
        2,
        len(PANELS),
        figsize=(3.1 * len(PANELS), 6.6),
        sharex=True,
        sharey="row",
        layout="constrained",
    )
    for column, panel in enumerate(PANELS):
        shown = [s.name for s in SAMPLERS if s.panel == panel and s.name in names]
        for row, metric in enumerate(("kl", "tv")):
            axis = axes[row, column]
            if REFERENCE not in shown:
                plot(axis, points, REFERENCE, metric, color="0.75", linewidth=4)
            for number, name in enumerate(shown):
                style = {"linestyle": LINES[number], "marker": MARKERS[number]}
                plot(axis, points, name, metric, color="black", linewidth=1, **style)
            if metric == "tv":
                axis.axhline(floor, color="black", linewidth=0.6, linestyle=":")
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_xscale("log", base=2)
            axis.set_yscale("log")
        axes[0, column].set_title(panel, fontsize=10)
        axes[1, column].set_xlabel("forward passes for a row")
        axes[0, column].legend(frameon=False, fontsize=7, loc="lower left")
    axes[0, 0].set_ylabel("KL to the chain, at most (nats per token)")
    axes[0, 0].set_ylim(bottom=BOTTOM / 1.5)
    axes[1, 0].set_ylabel("total variation of pairs")
    levels = [0.03, 0.1, 0.3, 0.6]
    axes[1, 0].set_yticks(levels, [str(level) for level in levels])
    axes[1, 0].minorticks_off()
    ticks = [4, 8, 16, 32, 64, 128, 256]
    axes[1, 0].set_xticks(ticks, [str(tick) for tick in ticks])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def plot(axis: Any, points: Points, name: str, metric: str, **style: Any) -> None:
    """Draw one curve, with bars of one standard error."""
    some = [p for p in points if p["name"] == name and p[metric] is not None]
    some.sort(key=lambda point: point["passes"])
    bottom = BOTTOM if metric == "kl" else 0.0
    passes: list[float] = []
    values: list[float] = []
    errors: list[float] = []
    for point in some:
        if passes and point["passes"] > FAR * passes[-1]:  # no line between them
            passes.append(passes[-1])
            values.append(math.nan)
            errors.append(0.0)
        passes.append(point["passes"])
        values.append(max(point[metric], bottom))
        error = point[f"{metric}_error"]
        errors.append(0.0 if point[metric] < EXACT else error)
    axis.errorbar(
        passes,
        values,
        yerr=errors,
        label=name,
        markersize=4,
        fillstyle="none",
        capsize=2,
        **style,
    )

"""The curves of a task's runs as an SVG. Needs the extra `bench`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.learn.target import Target

PALETTE: tuple[str, ...] = ("#b5495b", "#00896c", "#f17c67", "#66327c")
PALETTE += ("#0089a7", "#c18a26", "#1b813e", "#3a3226")
PALETTE += ("#8a6bbe", "#91b493", "#d05a6e", "#855b32")
PALETTE += ("#58b2dc", "#b9887d", "#0b346e", "#7ba23f")


def colours(families: Sequence[str]) -> dict[str, str]:
    """A colour for each family, the same in every figure."""
    return {
        family: PALETTE[number % len(PALETTE)] for number, family in enumerate(families)
    }


def draw(
    path: Path,
    title: str,
    rows: Sequence[Mapping[str, Any]],
    target: Target,
    colour: Mapping[str, str],
) -> None:
    """Draw the target's metric over steps: a line for each run, peers dashed.

    Args:
        rows: of `report.curve_rows`.
        colour: of every family.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "xlmgen"
    from matplotlib import pyplot

    scale = 1 if target.falls else 100
    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    named = set()
    runs = dict.fromkeys((row["family"], row["peer"], row["seed"]) for row in rows)
    for family, peer, seed in runs:
        some = [
            row
            for row in rows
            if (row["family"], row["peer"], row["seed"]) == (family, peer, seed)
            and row[target.metric] != ""
        ]
        label = f"{family}, {peer}" if peer else family
        axes.plot(
            [row["step"] for row in some],
            [scale * row[target.metric] for row in some],
            color=colour.get(family),
            linestyle="--" if peer else "-",
            label=None if label in named else label,
        )
        named.add(label)
    axes.axhline(scale * target.value, color="0.8", linewidth=0.8, zorder=0)
    unit = "" if target.falls else " in %"
    axes.set(xlabel="optimiser steps", ylabel=f"{target.metric}{unit}")
    if not target.falls:
        axes.set_ylim(0, 101)
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

"""The results of an evaluation, for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

NOT_METRICS = ("draws", "standard_error", "monte_carlo_error")


def show_results(results: Mapping[str, Any], console: Console) -> None:
    """A table of losses and scores, and exact match as the last line."""
    loss, pseudo = results["loss"], results.get("pseudo_likelihood", {})
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, justify in (("metric", "left"), ("value", "right"), ("±", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for part, with_error in ((loss, "loss"), (pseudo, "pseudo_nll")):
        for name, value in part.items():
            if name in NOT_METRICS:
                continue
            error = part["standard_error"] if name == with_error else math.nan
            shown = "" if math.isnan(error) else f"{error:.4f}"
            table.add_row(name, f"{value:.4f}", shown)
    scores = results.get("scores", {})
    for name, value in scores.items():
        error = results["scores_error"][name]
        shown = "" if math.isnan(error) else f"{100 * error:.1f} %"
        table.add_row(name.replace("_", " "), f"{100 * value:.1f} %", shown)
    console.print(table)
    averaged = ", ema weights" if results["weights"] == "ema" else ""
    where = f"{results['split']}, {results['rows']} rows, step {results['step']}"
    console.print(f"{where}{averaged}; ± is one standard error{_draws(loss)}")
    if "forward_passes" in results:
        console.print(f"{results['forward_passes']} forward passes to answer them")
    if "exact_match" in scores:
        console.print(f"exact match: {100 * scores['exact_match']:.1f} %")


def _draws(loss: Mapping[str, Any]) -> str:
    if loss["draws"] == 1:
        return ""
    return (
        f"; the loss is a mean over {loss['draws']} draws per row, "
        f"which account for ± {loss['monte_carlo_error']:.4f} of it"
    )

"""Results of an evaluation as a table on the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from xlmgen.evaluation.numbers import numbers
from xlmgen.terminal.escape import terminal


def show_results(results: Mapping[str, Any], console: Console) -> None:
    """Print a table of losses, scores and samples; the last line is exact match."""
    table = Table("metric", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("value", "±", *(["data"] if "data" in results else [])):
        table.add_column(column, justify="right")
    for number in numbers(results):
        cells = (
            terminal(number.name),
            number.shown,
            number.error_shown,
            number.of_data_shown,
        )
        table.add_row(*cells[: len(table.columns)])
    console.print(table)
    averaged = ", ema weights" if results["weights"] == "ema" else ""
    where = f"{results['split']}, {results['rows']} rows, step {results['step']}"
    shown = f"{where}{averaged}; ± is one standard error{_draws(results['loss'])}"
    console.print(shown)
    if "forward_passes" in results:
        console.print(f"{results['forward_passes']} forward passes to answer them")
    scores = results.get("scores", {})
    if "exact_match" in scores:
        console.print(f"exact match: {100 * scores['exact_match']:.1f} %")


def _draws(loss: Mapping[str, Any]) -> str:
    if loss["draws"] == 1:
        return ""
    return (
        f"; the loss is a mean over {loss['draws']} draws per row, "
        f"which account for ± {loss['monte_carlo_error']:.4f} of it"
    )

"""Tables of a comparison, for the console or as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from xlmgen.comparison.comparison import Comparison, parameters
from xlmgen.comparison.fairness import Part
from xlmgen.evaluation.scores import SHARES
from xlmgen.terminal import escape
from xlmgen.terminal.escape import terminal

MOST_COLUMNS = 12
"""A table with more columns is transposed."""
WHY = {
    Part.task: "their examples differ, so their scores cannot be compared",
    Part.backbone: "their networks differ in size",
    Part.training: "their training settings differ",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading; all columns but the first are right-aligned."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def transposed_if_wide(self) -> Table:
        """The table, transposed if it has more than `MOST_COLUMNS` columns."""
        if len(self.columns) <= MOST_COLUMNS:
            return self
        columns, *rows = zip(self.columns, *self.rows, strict=True)
        return Table(self.heading, ("", *columns[1:]), rows)


def show(found: Comparison, console: Console) -> None:
    """Print the tables and notes.

    Args:
        found: the comparison.
        console: with markup disabled, since names of runs may look like markup.
    """
    for table in (table.transposed_if_wide for table in tables(found)):
        console.print(table.heading, style="bold")
        shown = RichTable(box=SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(table.columns):
            shown.add_column(terminal(column), justify="right" if number else "left")
        for row in table.rows:
            shown.add_row(*map(terminal, row))
        console.print(shown)
    for note in notes(found):
        console.print(note, style="yellow" if found.unfair else "")


def markdown(found: Comparison) -> str:
    """The tables and notes as Markdown."""
    parts = []
    for table in (table.transposed_if_wide for table in tables(found)):
        rules = ["---", *["---:"] * (len(table.columns) - 1)]
        rows = [_cells(table.columns), rules, *map(_cells, table.rows)]
        lines = (f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)
        parts.append(f"**{escape.markdown(table.heading)}**\n\n" + "\n".join(lines))
    return "\n\n".join(
        [*parts, *(f"* {escape.markdown(note)}" for note in notes(found))]
    )


def _cells(row: Sequence[str]) -> list[str]:
    """Cells with escaped Markdown."""
    return [escape.markdown(cell) for cell in row]


def tables(found: Comparison) -> Iterator[Table]:
    """Tables of evaluations, paired differences, means over seeds, other settings."""
    yield _evaluations(found)
    if table := _differences(found):
        yield table
    if table := _means(found):
        yield table
    if found.differences:
        yield _settings(found)


def _evaluations(found: Comparison) -> Table:
    """One row per evaluation, and one for the data."""
    columns = ("run", "step", "rows", "parameters", "nats per token")
    return Table(
        f"{found.split} split, ± one standard error over rows",
        (*columns, *_titles(found.metrics), "passes"),
        [
            (
                found.label(one),
                str(one.results["step"]),
                str(one.results["rows"]),
                _count(parameters(one)),
                one.nats,
                *(
                    _with_error(m, one.numbers[m].value, one.numbers[m].error)
                    if m in one.numbers
                    else ""
                    for m in found.metrics
                ),
                str(one.results.get("forward_passes", "")),
            )
            for one in found.evaluations
        ]
        + _data(found),
    )


def _differences(found: Comparison) -> Table | None:
    """Paired differences from the first evaluation, if there are any."""
    paired = list(found.less_first())
    metrics = [m for m in found.metrics if any(m in values for _, values in paired)]
    if not metrics:
        return None
    return Table(
        f"less {found.label(found.evaluations[0])}, on the rows of both",
        ("run", "rows", *_titles(metrics)),
        [
            (
                found.label(one),
                str(next(iter(values.values())).rows),
                *(
                    _with_error(m, values[m].mean, values[m].error, sign=True)
                    if m in values
                    else ""
                    for m in metrics
                ),
            )
            for one, values in paired
        ],
    )


def _means(found: Comparison) -> Table | None:
    """Means over seeds, if a run has several."""
    groups = list(found.seeds())
    if not groups:
        return None
    return Table(
        "means over seeds, ± one standard error over runs",
        ("run", "seeds", *_titles(found.metrics)),
        [
            (
                f"{found.label(group.members[0])} and others",
                str(len(group.members)),
                *(
                    _with_error(m, *group.means[m]) if m in group.means else ""
                    for m in found.metrics
                ),
            )
            for group in groups
        ],
    )


def _settings(found: Comparison) -> Table:
    """Settings in which the runs differ."""
    return Table(
        "settings that differ",
        ("", *(found.names[run.path] for run in found.runs)),
        [
            (
                d.key if d.part is Part.seed else f"{d.part}: {d.key}",
                *map(_setting, d.values),
            )
            for d in found.differences
        ],
    )


def _titles(metrics: Sequence[str]) -> list[str]:
    return [metric.replace("_", " ") for metric in metrics]


def _data(found: Comparison) -> list[Sequence[str]]:
    """A row with sample metrics of the data, if there are any."""
    known = {m: n for one in found.evaluations for m, n in one.numbers.items()}
    of_data = [known[metric].of_data_shown for metric in found.metrics]
    return [("data", "", "", "", "", *of_data, "")] if any(of_data) else []


def notes(found: Comparison) -> list[str]:
    """Notes on the fairness and completeness of the comparison."""
    lines = [f"not a fair comparison: {WHY[part]}" for part in found.unfair]
    if not lines and len(found.runs) > 1:
        lines = ["the same task, backbone and training for all"]
    evaluations = found.evaluations
    for key, difference in (
        ("rows", "on different numbers of rows"),
        ("step", "at different steps"),
    ):
        if len({one.results[key] for one in evaluations}) > 1:
            lines.append(f"measured {difference}")
    lines += [
        f"{found.names[run.path]} was not measured on the split {found.split}: "
        f"xlmgen eval {run.path}"
        for run in found.unmeasured
    ]
    return lines


def _with_error(metric: str, value: float, error: float, *, sign: bool = False) -> str:
    """A number with its standard error, if it has one; – for NaN."""
    if math.isnan(value):
        return "–"
    form = f"{'+' if sign else ''}.{'1' if metric in SHARES else '4'}f"
    scale, unit = (100, " %") if metric in SHARES else (1, "")
    shown = f"{scale * value:{form}}"
    if not math.isnan(error):
        shown += f" ± {scale * error:{form.lstrip('+')}}"
    return shown.replace("-", "−") + unit


def _count(number: int | None) -> str:
    if number is None:
        return ""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)


def _setting(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)

"""A comparison as tables: in a terminal, or as Markdown for a page or pull request."""

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

WIDEST = 12
"""Columns of a table that is not turned."""
WHY = {
    Part.task: "their examples differ, so that their scores do not compare",
    Part.backbone: "their networks are not of one size",
    Part.training: "they were not trained alike",
}


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading; numbers stand on the right."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def turned(self) -> Table:
        """Columns as rows, where there are too many to stand beside each other."""
        if len(self.columns) <= WIDEST:
            return self
        columns, *rows = zip(self.columns, *self.rows, strict=True)
        return Table(self.heading, ("", *columns[1:]), rows)


def show(found: Comparison, console: Console) -> None:
    """The tables for a person.

    Args:
        console: without markup, which names of runs may look like.
    """
    for table in (table.turned for table in tables(found)):
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
    """The same as Markdown."""
    parts = []
    for table in (table.turned for table in tables(found)):
        rules = ["---", *["---:"] * (len(table.columns) - 1)]
        rows = [_cells(table.columns), rules, *map(_cells, table.rows)]
        lines = (f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)
        parts.append(f"**{escape.markdown(table.heading)}**\n\n" + "\n".join(lines))
    return "\n\n".join(
        [*parts, *(f"* {escape.markdown(note)}" for note in notes(found))]
    )


def _cells(row: Sequence[str]) -> list[str]:
    """Cells in which nothing is markup."""
    return [escape.markdown(cell) for cell in row]


def tables(found: Comparison) -> Iterator[Table]:
    """What was measured; differences row by row; means over seeds; other settings."""
    metrics = found.metrics
    names = [m.replace("_", " ") for m in metrics]
    yield Table(
        f"{found.split} split, ± one standard error over rows",
        ("run", "step", "rows", "parameters", "nats per token", *names, "passes"),
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
                    for m in metrics
                ),
                str(one.results.get("forward_passes", "")),
            )
            for one in found.evaluations
        ]
        + _data(found),
    )
    less = list(found.less_first())
    kept = [m for m in metrics if any(m in values for _, values in less)]
    if kept:
        yield Table(
            f"less {found.label(found.evaluations[0])}, on the rows of both",
            ("run", "rows", *(m.replace("_", " ") for m in kept)),
            [
                (
                    found.label(one),
                    str(next(iter(values.values())).rows),
                    *(
                        _with_error(m, values[m].mean, values[m].error, sign=True)
                        if m in values
                        else ""
                        for m in kept
                    ),
                )
                for one, values in less
            ],
        )
    if seeds := list(found.seeds()):
        yield Table(
            "means over seeds, ± one standard error over runs",
            ("run", "seeds", *names),
            [
                (
                    f"{found.label(group.members[0])} and others",
                    str(len(group.members)),
                    *(
                        _with_error(m, *group.means[m]) if m in group.means else ""
                        for m in metrics
                    ),
                )
                for group in seeds
            ],
        )
    if found.differences:
        yield Table(
            "what the runs do not share",
            ("", *(found.names[run.path] for run in found.runs)),
            [
                (
                    d.key if d.part is Part.seed else f"{d.part}: {d.key}",
                    *map(_setting, d.values),
                )
                for d in found.differences
            ],
        )


def _data(found: Comparison) -> list[Sequence[str]]:
    """A row of what metrics of samples say of the data, where there are any."""
    known = {m: n for one in found.evaluations for m, n in one.numbers.items()}
    of_data = [known[metric].of_data_shown for metric in found.metrics]
    return [("data", "", "", "", "", *of_data, "")] if any(of_data) else []


def notes(found: Comparison) -> list[str]:
    """What to make of it."""
    said = [f"not a fair comparison: {WHY[part]}" for part in found.unfair]
    if not said and len(found.runs) > 1:
        said = ["the same task, backbone and training for all"]
    evaluations = found.evaluations
    for key, what in (
        ("rows", "on different numbers of rows"),
        ("step", "at different steps"),
    ):
        if len({one.results[key] for one in evaluations}) > 1:
            said.append(f"measured {what}")
    said += [
        f"{found.names[run.path]} was not measured on the split {found.split}: "
        f"xlmgen eval {run.path}"
        for run in found.unmeasured
    ]
    return said


def _with_error(metric: str, value: float, error: float, *, sign: bool = False) -> str:
    """A number with its standard error, where it has one."""
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

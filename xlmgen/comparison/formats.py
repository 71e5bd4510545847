"""A comparison as Markdown, LaTeX, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

from xlmgen.comparison.comparison import NATS, Comparison, parameters
from xlmgen.comparison.tables import Table, differences, means, notes, tables
from xlmgen.terminal import escape

MOST_COLUMNS = 12
"""A table of Markdown or LaTeX with more columns is transposed."""
CSV_COLUMNS = (
    *("table", "run", "decoding", "seeds", "rows", "metric"),
    *("value", "error", "low", "high", "bound"),
)


def markdown(found: Comparison) -> str:
    """The tables and notes as Markdown."""
    parts = [markdown_table(table) for table in tables(found)]
    return "\n\n".join(
        [*parts, *(f"* {escape.markdown(note)}" for note in notes(found))]
    )


def markdown_table(table: Table) -> str:
    """A table as Markdown under its heading."""
    heading = f"**{escape.markdown(table.heading)}**"
    table = _transposed_if_wide(table)
    rules = ["---", *["---:"] * (len(table.columns) - 1)]
    rows = [[escape.markdown(cell) for cell in row] for row in table.rows]
    head = [escape.markdown(column) for column in table.columns]
    lines = [f"| {' | '.join(row)} |" for row in [head, rules, *rows]]
    return "\n".join([heading, "", *(line.replace("|  |", "| |") for line in lines)])


def latex(found: Comparison) -> str:
    """Means over seeds and differences as LaTeX, for the package `booktabs`."""
    shown = [means(found), differences(found)]
    return "\n\n".join(latex_table(table) for table in shown if table)


def latex_table(table: Table) -> str:
    """A table as a `tabular` of booktabs, with its heading as a comment."""
    heading = escape.terminal(table.heading)
    table = _transposed_if_wide(table)
    lines = [
        f"% {heading}; needs \\usepackage{{booktabs}}",
        f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        "\\toprule",
        _latex_row(table.columns),
        "\\midrule",
        *map(_latex_row, table.rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(escape.latex, cells)) + " \\\\"


def _transposed_if_wide(table: Table) -> Table:
    return table.transposed if len(table.columns) > MOST_COLUMNS else table


def csv_text(found: Comparison) -> str:
    """One line per number: of evaluations, means over seeds, and differences.

    Shares are numbers from 0 to 1. Missing numbers are empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in _csv_rows(found):
        writer.writerow([_cell(row.get(column)) for column in CSV_COLUMNS])
    return text.getvalue()


def _csv_rows(found: Comparison) -> Iterator[dict[str, Any]]:
    for one in found.evaluations:
        named = {
            "table": "evaluation",
            "run": found.names[one.run.path],
            "decoding": one.how,
            "seeds": 1,
            "rows": one.results["rows"],
        }
        numbers = {NATS: one.nats} if one.nats else {}
        for metric, number in (numbers | one.numbers).items():
            bound = one.is_bound if metric == NATS else None
            value = {"value": number.value, "error": number.error, "bound": bound}
            yield named | {"metric": metric} | value
    for group in found.groups:
        named = {
            "table": "mean",
            "run": found.runs_name(group),
            "decoding": group.first.how,
            "seeds": len(group.by_seed),
            "rows": group.first.results["rows"],
        }
        means = {NATS: group.nats} | {m: group.mean(m) for m in found.metrics}
        for metric, mean in means.items():
            if mean is not None:
                bound = group.is_bound if metric == NATS else None
                value = {"value": mean.value, "error": mean.error, "bound": bound}
                yield named | {"metric": metric} | value
    for group, values in found.group_differences():
        named = {
            "table": "difference",
            "run": found.runs_name(group),
            "decoding": group.first.how,
        }
        for metric, interval in values.items():
            yield named | {
                "metric": metric,
                "value": interval.mean,
                **{k: v for k, v in vars(interval).items() if k != "mean"},
            }


def _cell(value: Any) -> str:
    """Text of a cell; empty for None and NaN, true or false for a truth value."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return escape.terminal(value)


def as_data(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON values."""
    return {
        "split": found.split,
        "runs": [str(run.path) for run in found.runs],
        "unfair": found.unfair,
        "differences": [
            {"part": d.part, "key": d.key, "values": list(d.values)}
            for d in found.differences
        ],
        "evaluations": [
            {
                "run": str(one.run.path),
                "file": str(one.file),
                "parameters": parameters(one),
                **one.results,
            }
            for one in found.evaluations
        ],
        "less_first": [
            {"file": str(one.file), **{m: vars(v) for m, v in less.items()}}
            for one, less in found.less_first()
        ],
        "seeds": [
            {
                "name": found.group_name(group),
                "files": [str(one.file) for one in group.members],
                "bound": group.is_bound,
                "means": {
                    m: {"mean": mean.value, "error": mean.error}
                    for m in (NATS, *found.metrics)
                    if (mean := group.nats if m == NATS else group.mean(m))
                },
            }
            for group in found.groups
            if len(group.by_seed) > 1
        ],
        "seeds_less_first": [
            {
                "name": found.group_name(group),
                **{metric: vars(interval) for metric, interval in values.items()},
            }
            for group, values in found.group_differences()
        ],
    }

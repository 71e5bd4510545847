"""Tables and notes of a comparison, as text without layout."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xlmgen.comparison.comparison import NATS, Comparison, parameters
from xlmgen.comparison.fairness import Part
from xlmgen.comparison.interval import Interval
from xlmgen.evaluation.scores import SHARES
from xlmgen.runs.run import Run

NATS_TITLE = "nats per token"
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
    def transposed(self) -> Table:
        columns, *rows = zip(self.columns, *self.rows, strict=True)
        return Table(self.heading, ("", *columns[1:]), rows)


def tables(found: Comparison) -> Iterator[Table]:
    """Tables of evaluations, means over seeds, differences, and other settings."""
    yield evaluations(found)
    if found.has_seeds:
        yield means(found)
    if table := differences(found):
        yield table
    if found.differences:
        yield settings(found)


def evaluations(found: Comparison) -> Table:
    """One row per evaluation, and one for the data."""
    columns = ("run", "step", "rows", "parameters", NATS_TITLE)
    return Table(
        f"{found.split} split, ± one standard error over rows",
        (*columns, *titles(found.metrics), "passes"),
        [
            (
                found.label(one),
                str(one.results["step"]),
                str(one.results["rows"]),
                count(parameters(one)),
                nats(one.nats.value, one.nats.error, one.is_bound) if one.nats else "",
                *(
                    with_error(m, one.numbers[m].value, one.numbers[m].error)
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


def means(found: Comparison) -> Table:
    """One row per group of seeds: means, or the numbers of a single seed."""
    return Table(
        "means over seeds, ± one standard error over seeds"
        if found.has_seeds
        else f"{found.split} split, ± one standard error over rows",
        ("run", "seeds", NATS_TITLE, *titles(found.metrics), "passes per batch"),
        [
            (
                found.group_name(group),
                str(len(group.by_seed)),
                nats(group.nats.value, group.nats.error, group.is_bound)
                if group.nats
                else "",
                *(
                    with_error(m, mean.value, mean.error)
                    if (mean := group.mean(m))
                    else ""
                    for m in found.metrics
                ),
                f"{group.passes:.4g}" if group.passes else "",
            )
            for group in found.groups
        ],
    )


def differences(found: Comparison) -> Table | None:
    """Differences from the first evaluation, or of means over seeds, if any."""
    return _group_differences(found) if found.has_seeds else _run_differences(found)


def _run_differences(found: Comparison) -> Table | None:
    paired = list(found.less_first())
    metrics = [m for m in (NATS, *found.metrics) if any(m in v for _, v in paired)]
    if not metrics:
        return None
    first = found.evaluations[0]
    return Table(
        f"less {found.label(first)}, on the rows of both, ± one standard error",
        ("run", "rows", *titles(metrics)),
        [
            (
                found.label(one),
                str(next(iter(values.values())).rows),
                *(
                    nats_sign(m, one.is_bound, first.is_bound)
                    + with_error(m, values[m].mean, values[m].error, sign=True)
                    if m in values
                    else ""
                    for m in metrics
                ),
            )
            for one, values in paired
        ],
    )


def _group_differences(found: Comparison) -> Table | None:
    compared = list(found.group_differences())
    metrics = [m for m in (NATS, *found.metrics) if any(m in v for _, v in compared)]
    if not metrics:
        return None
    first = found.groups[0]
    return Table(
        f"less {found.group_name(first)}, with 95 % confidence intervals",
        ("run", "paired seeds", "paired rows", *titles(metrics)),
        [
            (
                found.group_name(group),
                _range(value.seeds for value in values.values()),
                _range(value.rows for value in values.values()),
                *(
                    nats_sign(m, group.is_bound, first.is_bound)
                    + with_interval(m, values[m])
                    if m in values
                    else ""
                    for m in metrics
                ),
            )
            for group, values in compared
        ],
    )


def _range(numbers: Iterable[int]) -> str:
    """A number, or the least and the greatest of several."""
    known = sorted(set(numbers))
    return str(known[0]) if len(known) == 1 else f"{known[0]}–{known[-1]}"


def settings(found: Comparison) -> Table:
    """Settings in which the runs differ; runs with equal settings share a column."""
    columns: dict[tuple[str, ...], list[Run]] = {}
    for number, run in enumerate(found.runs):
        values = tuple(setting(d.values[number]) for d in found.differences)
        columns.setdefault(values, []).append(run)
    return Table(
        "settings that differ",
        ("", *map(found.common_name, columns.values())),
        [
            (setting_name(difference.part, difference.key), *values)
            for difference, *values in zip(found.differences, *columns, strict=True)
        ],
    )


def notes(found: Comparison) -> list[str]:
    """Notes on the fairness and completeness of the comparison."""
    lines = [f"not a fair comparison: {WHY[part]}" for part in found.unfair]
    if not lines and len(found.runs) > 1:
        lines = ["the same task, backbone and training for all"]
    for key, difference in (
        ("rows", "on different numbers of rows"),
        ("step", "at different steps"),
    ):
        if len({one.results[key] for one in found.evaluations}) > 1:
            lines.append(f"measured {difference}")
    if any(one.is_bound for one in found.evaluations) and len(found.evaluations) > 1:
        lines.append(
            "≤ and ≥ are for a bound beside an exact likelihood; a difference of two "
            "bounds is not one of likelihoods"
        )
    lines += [
        f"{found.names[run.path]} was not measured on the split {found.split}: "
        f"xlmgen eval {run.path}"
        for run in found.unmeasured
    ]
    return lines


def titles(metrics: Sequence[str]) -> list[str]:
    """Names of metrics as they are shown."""
    return [NATS_TITLE if m == NATS else m.replace("_", " ") for m in metrics]


def nats(value: float, error: float, is_bound: bool) -> str:
    """Nats per token, with ≤ for a bound."""
    return "≤ " * is_bound + with_error(NATS, value, error)


def nats_sign(metric: str, is_bound: bool, other_is_bound: bool) -> str:
    """Meaning of a difference in nats of a bound and an exact likelihood."""
    if metric != NATS or is_bound == other_is_bound:
        return ""
    return "≤ " if is_bound else "≥ "


def with_error(metric: str, value: float, error: float, *, sign: bool = False) -> str:
    """A number with its standard error, if it has one; – for NaN."""
    if math.isnan(value):
        return "–"
    shown = number(metric, value, sign=sign)
    if not math.isnan(error):
        shown += f" ± {number(metric, error)}"
    return shown + unit(metric)


def with_interval(metric: str, value: Interval) -> str:
    """A difference with its interval, if it has one; – for NaN."""
    if math.isnan(value.mean):
        return "–"
    shown = number(metric, value.mean, sign=True)
    if not math.isnan(value.low):
        low, high = (number(metric, end, sign=True) for end in (value.low, value.high))
        shown += f" [{low}, {high}]"
    return shown + unit(metric)


def number(metric: str, value: float, *, sign: bool = False) -> str:
    """A number without its unit: shares in percent with one digit, others with four."""
    scale, digits = (100, 1) if metric in SHARES else (1, 4)
    shown = f"{scale * value:{'+' if sign else ''}.{digits}f}"
    return shown.replace("-", "−")


def unit(metric: str) -> str:
    return " %" if metric in SHARES else ""


def count(number: int | None) -> str:
    """A large number with its unit; empty for None."""
    if number is None:
        return ""
    for symbol, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.2f} {symbol}"
    return str(number)


def setting(value: Any) -> str:
    """The value of a setting; – for None."""
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting_name(part: Part, key: str) -> str:
    """A setting with the part of the experiment that it belongs to."""
    return key if part is Part.seed else f"{part}: {key}"


def _data(found: Comparison) -> list[Sequence[str]]:
    """A row with sample metrics of the data, if there are any."""
    known = {m: n for one in found.evaluations for m, n in one.numbers.items()}
    of_data = [known[metric].of_data_shown for metric in found.metrics]
    return [("data", "", "", "", "", *of_data, "")] if any(of_data) else []

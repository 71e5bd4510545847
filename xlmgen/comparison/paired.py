"""How much better one evaluation is than another on the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from xlmgen.io.json_schema import is_number

QUESTION = ("prompt", "target")


@dataclass(frozen=True)
class Paired:
    """The mean difference of a score over rows that both answered.

    Its error is that of the rows' differences. A hard row is hard for both, so that it
    is smaller than what the errors of two means add up to.

    Args:
        mean: of the first less the second.
        error: one standard error; NaN of a single row.
        rows: how many there are.
    """

    mean: float
    error: float
    rows: int


def paired(
    rows: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    metric: str,
) -> Paired | None:
    """The first less the second in one metric.

    Returns:
        None where they do not answer the same questions, or have no such score.
    """
    found = {row["row"]: row for row in others}
    pairs = [(row, found[row["row"]]) for row in rows if row["row"] in found]
    same = all(a.get(key) == b.get(key) for a, b in pairs for key in QUESTION)
    scored = all(is_number(row.get(metric)) for pair in pairs for row in pair)
    if not pairs or not same or not scored:
        return None
    less = [a[metric] - b[metric] for a, b in pairs]
    error = stdev(less) / math.sqrt(len(less)) if len(less) > 1 else math.nan
    return Paired(fmean(less), error, len(less))

"""Paired differences of two evaluations on the same rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from xlmgen.comparison.measured import ratio_error
from xlmgen.io.json_schema import is_number

QUESTION = ("prompt", "target")


@dataclass(frozen=True)
class Paired:
    """Mean difference of a score over rows that both evaluations answered.

    Its error is that of the row differences. Scores of the same row are correlated, so
    it is usually smaller than the combined error of two independent means.

    Args:
        mean: of the first minus the second.
        error: one standard error; NaN for a single row.
        rows: number of rows.
    """

    mean: float
    error: float
    rows: int


def paired(
    rows: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    metric: str,
) -> Paired | None:
    """Difference of the first and the second evaluation in one metric.

    Returns:
        None where their prompts or targets differ, or a row has no such score.
    """
    found = {row["row"]: row for row in others}
    pairs = [(row, found[row["row"]]) for row in rows if row["row"] in found]
    same = all(a.get(key) == b.get(key) for a, b in pairs for key in QUESTION)
    scored = all(is_number(row.get(metric)) for pair in pairs for row in pair)
    if not pairs or not same or not scored:
        return None
    delta = [a[metric] - b[metric] for a, b in pairs]
    error = stdev(delta) / math.sqrt(len(delta)) if len(delta) > 1 else math.nan
    return Paired(fmean(delta), error, len(delta))


def paired_nats(
    rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> Paired | None:
    """Difference of the first and the second evaluation in nats per data token.

    Returns:
        None where their examples differ, or one of them has no likelihood.
    """
    found = {row["row"]: row for row in others}
    pairs = [(row, found[row["row"]]) for row in rows if row["row"] in found]
    if not pairs or any(a["example"] != b["example"] for a, b in pairs):
        return None
    delta = [a["nats"] - b["nats"] for a, b in pairs]
    tokens = [a["tokens"] for a, _ in pairs]
    mean = math.fsum(delta) / math.fsum(tokens)
    return Paired(mean, ratio_error(delta, tokens), len(delta))

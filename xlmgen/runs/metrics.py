"""Rows of a run's `metrics.csv` and `throughput.csv`; no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.runs.checkpoint_folder import MONITOR


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics file without empty cells; none if it does not exist.

    A last line that a kill cut short is left out.

    Raises:
        UserError: the file is not a table of numbers, or a row of it has no step.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        rows = list(csv.DictReader(io.StringIO(complete), strict=True))
        for row in rows:
            int(row["step"])
            for name, value in row.items():
                float(value if name and value else 0)
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path} is damaged: it is not a table of numbers whose rows have a step",
            "restore it from a copy, or delete it: the run continues without its rows",
        ) from error
    return [
        {name: value for name, value in row.items() if name and value} for row in rows
    ]


def validated_before_last(rows: Sequence[Mapping[str, str]]) -> int | None:
    """Return the last step with a finite validation loss before the last row.

    None without such a step. Rows after the first such step show that a checkpoint of
    that step was saved.
    """
    for row in reversed(rows[:-1]):
        with suppress(ValueError):
            if math.isfinite(float(row.get(MONITOR, "nan"))):
                return int(row["step"])
    return None

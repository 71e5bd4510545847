"""Write `metrics.csv`: one row per step, readable at any time and after a kill."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from xlmgen.io.files import write_text, writing
from xlmgen.runs.metrics import read_rows

FIRST_COLUMNS = ("step", "train/loss", "train/lr")


# Not Lightning's CSVLogger: it cannot drop the rows after the step of a checkpoint.
class MetricsFile(Logger):
    """A Lightning logger that writes `metrics.csv`.

    Args:
        path: the file.
        upto: rows of an earlier run after this step are dropped, so that a run that
            continues from a checkpoint writes every step once.
        columns: the first columns; others follow in the order of their first values.
    """

    def __init__(
        self, path: Path, upto: int = 0, columns: Sequence[str] = FIRST_COLUMNS
    ) -> None:
        super().__init__()
        self._path = path
        self._columns = list(columns)
        self._rows: dict[int, dict[str, str]] = {}
        for row in read_rows(path):
            step = int(row["step"])
            if step <= upto:
                self._rows[step] = row
                self._add_columns(row)
        self._last_row_at = 0

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Do nothing: the run folder's experiment.yaml holds the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert step is not None
        new = {name: repr(float(value)) for name, value in metrics.items()}
        last = next(reversed(self._rows), None)
        grown = self._add_columns(new)
        row = self._rows.setdefault(step, {"step": str(step)})
        row.update(new)
        if self._last_row_at and not grown and (last is None or step >= last):
            self._write_last(row, replace=step == last)
        else:
            self._write_all()

    def _add_columns(self, names: Iterable[str]) -> bool:
        new = [name for name in names if name not in self._columns]
        self._columns += new
        return bool(new)

    def _write_all(self) -> None:
        lines = [_line(self._columns)]
        lines += [self._values(row) for row in self._rows.values()]
        write_text(self._path, "".join(lines))
        self._last_row_at = sum(len(line.encode()) for line in lines[:-1])

    def _write_last(self, row: Mapping[str, str], *, replace: bool) -> None:
        with writing(self._path), self._path.open("r+b") as file:
            end = file.seek(0, io.SEEK_END)
            if not replace:
                self._last_row_at = end
            file.seek(self._last_row_at)
            file.write(self._values(row).encode())
            file.truncate()

    def _values(self, row: Mapping[str, str]) -> str:
        return _line(row.get(name, "") for name in self._columns)


def _line(values: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()

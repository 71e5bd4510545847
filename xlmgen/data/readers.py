"""Local files to texts, row by row, each with the line that it starts on."""

import csv
import glob
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError

Row = tuple[int, Mapping[str, Any]]  # the line or row number, and the cells

LONGEST_CELL = 2**31 - 1


def expand(paths: str | list[str], folder: Path, split: str) -> list[Path]:
    """The files that paths and patterns name, each once, patterns in sorted order.

    Raises:
        UserError: a path does not exist or a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for text in [paths] if isinstance(paths, str) else paths:
        exact = folder / text
        if exact.is_file():
            found[exact] = None
            continue
        if not glob.has_magic(text):
            raise UserError(
                f"source.files.{split}: there is no file {exact}",
                "check the path; it starts from the folder of the task's YAML file",
            )
        pattern = str(Path(glob.escape(str(folder))) / text)
        matches = sorted(glob.glob(pattern, recursive=True))
        files = [Path(match) for match in matches if Path(match).is_file()]
        if not files:
            raise UserError(
                f"source.files.{split}: no file matches {exact}",
                "check the pattern; it starts from the folder of the task's YAML file",
            )
        found.update(dict.fromkeys(files))
    return list(found)


def read_txt(path: Path, unit: str) -> Iterator[tuple[int, str]]:
    """The documents of a text file with the lines they start on; blank ones left out.

    Args:
        path: a UTF-8 file.
        unit: `line`, `paragraph` (blank lines between) or `file`.
    """
    text = _read(path)
    if unit == "file":
        if text.strip():
            yield 1, text
        return
    start = 1
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            if not lines:
                start = number
            lines.append(line)
        if lines and (unit == "line" or not line.strip()):
            yield start, "\n".join(lines)
            lines = []


def read_table(
    path: Path, form: str, names: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The wanted columns of every row of a table, all of them texts.

    Args:
        path: the file.
        form: a key of `TABLES`.
        names: the name in the file of each key that is wanted.

    Raises:
        UserError: a column is missing or a cell is not text.
    """
    for number, cells in TABLES[form](path):
        fields = {}
        for key, column in names.items():
            if column not in cells:
                raise UserError(
                    f"{path}:{number}: there is no column '{column}'",
                    f"set source.columns.{key} to one of "
                    + ", ".join(str(name) for name in cells),
                )
            value = cells[column]
            if not isinstance(value, str):
                raise UserError(
                    f"{path}:{number}: column '{column}' holds {value!r}, not a text",
                    "write the value as a text",
                )
            fields[key] = value
        yield number, fields


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path}:{number}: not JSON ({error})",
                "write one JSON object on every line",
            ) from error
        if not isinstance(cells, dict):
            raise UserError(
                f"{path}:{number}: {line[:40]!r} is not a JSON object",
                "write one JSON object on every line",
            )
        yield number, cells


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    rows = csv.DictReader(io.StringIO(_read(path), newline=""), strict=True)
    try:
        for cells in rows:
            if None in cells or None in cells.values():
                raise UserError(
                    f"{path}:{rows.line_num}: the row has more or fewer cells than "
                    f"the {len(rows.fieldnames or ())} columns of the first line",
                    "quote cells that hold commas",
                )
            yield rows.line_num, cells
    except csv.Error as error:
        raise UserError(
            f"{path}:{rows.line_num}: not CSV ({error})", "mend the line"
        ) from error


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(
            f"{path}: reading .parquet needs the package pyarrow",
            "pip install pyarrow, or save the file as .jsonl",
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for cells in batch.to_pylist():
                    number += 1
                    yield number, cells
    except (ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a parquet file ({error})", "check the file"
        ) from error


TABLES: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
}


def _read(path: Path) -> str:
    """The file's text, with line ends as they are written on Unix."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "check the file"
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: byte {error.start} is not UTF-8 text",
            "save the file in UTF-8",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")

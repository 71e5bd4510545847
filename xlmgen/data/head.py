"""The first rows of a data file, read within limits of memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from xlmgen.data import readers
from xlmgen.data.readers import Reading, Row
from xlmgen.data.text_files import ending, first_bytes
from xlmgen.errors import UserError
from xlmgen.io.files import require_plain, visible
from xlmgen.spec.messages import show

MOST_BYTES = 16 << 20
"""Bytes of a text file, or characters of the cells of a Parquet file."""
MOST_ROWS = 100_000
SNIFFED = 1 << 16  # bytes from which the format is found
DELIMITERS = ("\t", ";", "|")
"""Delimiters of CSV files besides the comma."""
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
TEXT = "text"  # default column of a text file


@dataclass(frozen=True)
class Head:
    """First rows of a data file.

    Args:
        path: the file.
        how: settings of its reader; `form` is never `auto`.
        rows: with the line or number of each.
        complete: whether these are all rows.
    """

    path: Path
    how: Reading
    rows: list[Row]
    complete: bool

    @property
    def names(self) -> list[str]:
        """Names of all columns, in the order in which they first occur."""
        return list(dict.fromkeys(name for _, cells in self.rows for name in cells))


def read_head(path: Path) -> Head:
    """Read the first rows of a file, at most `MOST_BYTES` and `MOST_ROWS`.

    Raises:
        UserError: it is a folder, empty or binary, or a row cannot be read.
    """
    _require_file(path)
    how = _reading(path)
    cut = how.form != "parquet" and len(first_bytes(path, MOST_BYTES + 1)) > MOST_BYTES
    if cut and how.form != "txt" and b"\n" not in first_bytes(path, MOST_BYTES):
        raise UserError(
            f"{path}:1: the line is longer than {MOST_BYTES >> 20} MiB",
            "write one row on every line",
        )
    how = replace(how, most=MOST_BYTES if cut else None)
    rows, size = [], 0
    found = readers.read(path, how, TEXT, None)
    for row in islice(found, MOST_ROWS):
        rows.append(row)
        size += sum(len(cell) for cell in row[1].values() if isinstance(cell, str))
        if size > MOST_BYTES:
            break
    if not rows:
        raise UserError(f"{path} has no rows", "name a file with some rows")
    complete = not cut and next(found, None) is None
    return Head(path, replace(how, most=None), rows, complete)


def _require_file(path: Path) -> None:
    """Refuse a path that is not a regular file."""
    if path.is_dir():
        files = [file for file in visible(path) if ending(file) in readers.FORMS]
        such = f", such as {files[0]}" if files else ""
        raise UserError(f"{path} is a folder", f"name a file in it{such}")
    if not path.exists():
        raise UserError(f"there is no file {path}", "check the path")
    require_plain(path, "name a file of texts")


def _reading(path: Path) -> Reading:
    """Find format, unit and delimiter of a file from its name and its beginning."""
    form = readers.FORMS.get(ending(path))
    if form == "parquet":
        return Reading(form)
    start = first_bytes(path, SNIFFED)
    if start.startswith(UTF_16):
        raise UserError(f"{path} is in UTF-16", "save the file in UTF-8")
    if b"\0" in start:
        raise UserError(
            f"{path} is a binary file",
            "name a file of texts: .jsonl, .csv, .tsv, .txt or .parquet",
        )
    text = start.decode("utf-8-sig", "replace")
    if form is None:
        form = _form(path, text)
    if form == "csv":
        return Reading(form, delimiter=_delimiter(path, text))
    paragraphs = form == "txt" and text.strip().replace("\r", "").count("\n\n") > 1
    return Reading(form, unit="paragraph" if paragraphs else "line")


def _form(path: Path, text: str) -> str:
    """Find the format of a file whose suffix says nothing."""
    first = next((line.strip() for line in _lines(text)), "")
    if first.startswith("["):
        raise UserError(
            f"{path} is one JSON list", "write one JSON object on every line, as .jsonl"
        )
    if not first.startswith("{"):
        return "txt"
    try:
        json.loads(first)
    except ValueError as error:
        raise UserError(
            f"{path}: the first line is not a complete JSON object ({error})",
            "write one JSON object on every line, as .jsonl",
        ) from None
    return "jsonl"


def _delimiter(path: Path, text: str) -> str | None:
    """Find an unusual delimiter of a CSV file; refuse a first line without names."""
    first = next(_lines(text), "")
    usual = Reading("csv").delimiter_of(path)
    marks = [mark for mark in DELIMITERS if mark in first and mark != usual]
    found = marks[0] if marks and usual not in first else None
    for cell in first.split(found or usual):
        if _is_number(cell.strip().strip('"')):
            raise UserError(
                f"{path}:1: {show(cell)} is a number, not the name of a column",
                "write the names of the columns on the first line, such as "
                f"prompt{found or usual}target",
            )
    return found


def _lines(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.strip())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""Readers of local files: rows one at a time, each with its first line.

Only a text file that is one document is read into memory completely.
"""

import csv
import glob
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmgen.data.text_files import ending, opened
from xlmgen.errors import UserError
from xlmgen.io.files import begin, located, without_parents

Row = tuple[int, Mapping[str, Any]]  # the line or row number, and the cells
Wanted = Collection[str] | None  # names of columns; None for all

UNFINISHED = "unexpected end of data"  # message of the csv module
LONGEST_CELL = 2**31 - 1  # characters; the largest limit of the csv module
ROWS_AT_ONCE = 256  # rows read at a time from a parquet file
FORMS = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
"""Format of a file by its suffix."""
DELIMITERS = {".tsv": "\t"}
"""Delimiter of a CSV file by its suffix; commas otherwise."""


@dataclass(frozen=True)
class Reading:
    """Settings of a reader.

    Args:
        form: `txt` or a key of `TABLES`; `auto` chooses by the suffix of the file.
        unit: of a text file, see `read_txt`.
        delimiter: of a CSV file; None chooses by the suffix.
        most: number of bytes of a text file to read at most; None reads all.
    """

    form: str = "auto"
    unit: str = "line"
    delimiter: str | None = None
    most: int | None = None

    def form_of(self, path: Path) -> str | None:
        """Format of a file; None where its suffix is unknown."""
        return FORMS.get(ending(path)) if self.form == "auto" else self.form

    def delimiter_of(self, path: Path) -> str:
        """Delimiter of a CSV file."""
        return self.delimiter or DELIMITERS.get(ending(path), ",")


def expand(paths: str | list[str], folder: Path, split: str) -> list[Path]:
    """Files that paths and patterns name, each once; matches in sorted order.

    Raises:
        UserError: a path does not exist or is a folder, or a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for text in [paths] if isinstance(paths, str) else paths:
        exact = located(folder, text)
        if exact.is_file():
            found[exact] = None
            continue
        if exact.is_dir():
            example = f"{text.rstrip('/')}/*{usual_suffix(exact)}"
            raise UserError(
                f"source.files.{split}: {exact} is a folder",
                f"name the files in it, such as {example}",
            )
        base = f"it is relative to {folder.absolute()}"
        if not glob.has_magic(text):
            raise UserError(
                f"source.files.{split}: there is no file {exact}",
                f"check the path; {base}",
            )
        start, rest = begin(folder, text)
        pattern = str(Path(glob.escape(str(start))) / rest)
        found_paths = sorted(map(Path, glob.glob(pattern, recursive=True)))
        matches = list(map(without_parents, found_paths))
        files = [match for match in matches if match.is_file()]
        if not files:
            inside = next((m for m in matches if m.is_dir()), None)
            fix = f"check the pattern; {base}"
            if inside is not None:
                fix = f"name the files in it, such as {text}/*{usual_suffix(inside)}"
            raise UserError(
                f"source.files.{split}: no file matches {exact}"
                + (f", and {inside} is a folder" if inside else ""),
                fix,
            )
        found.update(dict.fromkeys(files))
    return list(found)


def usual_suffix(folder: Path) -> str:
    """Most frequent suffix of the readable files in a folder."""
    endings = Counter(
        "".join(path.suffixes[-2:] if path.suffix not in FORMS else path.suffixes[-1:])
        for path in folder.iterdir()
        if ending(path) in FORMS and not path.name.startswith(".")
    )
    return endings.most_common(1)[0][0] if endings else ".txt"


def read(path: Path, how: Reading, text_column: str, wanted: Wanted) -> Iterator[Row]:
    """Read the rows of a file.

    Args:
        path: the file.
        how: settings of the reader.
        text_column: name of the only column of a text file.
        wanted: the columns to read, or None for all; a reader may leave out others.
    """
    form = how.form_of(path)
    assert form is not None
    if form != "txt":
        return TABLES[form](path, wanted, how)
    texts = read_txt(path, how.unit, how.most)
    return ((number, {text_column: text}) for number, text in texts)


def read_txt(
    path: Path, unit: str, most: int | None = None
) -> Iterator[tuple[int, str]]:
    """Documents of a text file with their first lines; blank documents are left out.

    Args:
        path: a UTF-8 file.
        unit: `line`, `paragraph` (blank lines between) or `file`.
        most: see `text_files.opened`.
    """
    with opened(path, most) as file:
        if unit == "file":
            text = file.read()
            if text.strip():
                yield 1, text
            return
        start = 1
        lines: list[str] = []
        for number, line in enumerate(file, 1):
            blank = not line.strip()
            if lines and (unit == "line" or blank):
                yield start, "\n".join(lines)
                lines = []
            if not blank:
                if not lines:
                    start = number
                lines.append(line.removesuffix("\n"))
        if lines:
            yield start, "\n".join(lines)


class _Repeated(dict[str, Any]):
    """A JSON object with repeated keys.

    Attributes:
        names: the repeated keys.
    """

    names: frozenset[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found = _Repeated(found)
        counts = Counter(name for name, _ in pairs)
        found.names = frozenset(name for name in counts if counts[name] > 1)
    return found


def _read_jsonl(path: Path, wanted: Wanted, how: Reading) -> Iterator[Row]:
    with opened(path, how.most) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                cells = json.loads(line, object_pairs_hook=_object)
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path}:{number}: not JSON ({error})",
                    "write one JSON object on every line",
                ) from error
            if not isinstance(cells, dict):
                raise UserError(
                    f"{path}:{number}: {line[:40].rstrip()!r} is not a JSON object",
                    "write one JSON object on every line",
                )
            if isinstance(cells, _Repeated):
                for name in cells if wanted is None else wanted:
                    if name in cells.names:  # which value is meant is unknown
                        raise UserError(
                            f"{path}:{number}: the key '{name}' is repeated",
                            "give each value a key of its own",
                        )
            yield number, cells


def _read_csv(path: Path, wanted: Wanted, how: Reading) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    with opened(path, how.most) as file:
        rows = csv.reader(file, delimiter=how.delimiter_of(path), strict=True)
        names: list[str] = []
        start = 1
        try:
            for cells in rows:
                line, start = start, rows.line_num + 1
                if not cells:
                    continue  # a blank line
                if not names:
                    names = cells
                    _refuse_repeated(names, wanted, f"{path}:{line}")
                    continue
                if len(cells) != len(names):
                    raise UserError(
                        f"{path}:{line}: the row has {len(cells)} cells, and the first "
                        f"line has {len(names)}",
                        "quote cells that hold "
                        f"{how.delimiter_of(path)!r}, line ends or quotes",
                    )
                yield line, dict(zip(names, cells, strict=True))
        except csv.Error as error:
            if how.most is not None and UNFINISHED in str(error):
                return  # the limit of bytes is in the middle of a row
            raise UserError(
                f"{path}:{start}: not CSV ({error})", "fix the row"
            ) from error


def _refuse_repeated(names: list[str], wanted: Wanted, place: str) -> None:
    for name in names if wanted is None else wanted:
        if names.count(name) > 1:  # which column is meant is unknown
            raise UserError(
                f"{place}: {names.count(name)} columns are called '{name}'",
                "give each column a name of its own",
            )


def _read_parquet(path: Path, wanted: Wanted, _: Reading) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(
            f"{path}: reading .parquet needs the package pyarrow",
            "pip install pyarrow, or save the file as .jsonl",
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _refuse_repeated(names, wanted, str(path))
            # All columns where one is missing, so that the error can list them.
            known = wanted is not None and set(names).issuperset(wanted)
            columns = sorted(wanted or ()) if known else None
            number = 0
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                try:
                    rows = batch.to_pylist()
                except UnicodeDecodeError:
                    row, name = _not_utf8(batch)
                    raise UserError(
                        f"{path}:{number + row + 1}: column '{name}' is not valid "
                        "UTF-8",
                        "save the texts in UTF-8",
                    ) from None
                for cells in rows:
                    number += 1
                    yield number, cells
    except (ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a parquet file ({error})", "check the file"
        ) from error


def _not_utf8(batch: Any) -> tuple[int, str]:
    """Row and column of the first cell of a batch that is not valid UTF-8."""
    for row in range(batch.num_rows):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column[row].as_py()
            except UnicodeDecodeError:
                return row, name
    raise AssertionError("every cell can be read")


TABLES: Mapping[str, Callable[[Path, Wanted, Reading], Iterator[Row]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
}

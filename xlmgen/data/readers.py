"""Local files to rows, one at a time, each with the line that it starts on, or of CSV
ends on.

No file is read whole, but for a text file that is one document.
"""

import codecs
import csv
import glob
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from xlmgen.errors import UserError
from xlmgen.files import without_parents

Row = tuple[int, Mapping[str, Any]]  # the line or row number, and the cells

LONGEST_CELL = 2**31 - 1
ROWS_AT_ONCE = 256  # of a parquet file
BYTES_AT_ONCE = 1 << 20


def expand(paths: str | list[str], folder: Path, split: str) -> list[Path]:
    """The files that paths and patterns name, each once, patterns in sorted order.

    Raises:
        UserError: a path does not exist or a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    start = f"it starts from {folder.absolute()}"
    for text in [paths] if isinstance(paths, str) else paths:
        exact = without_parents(folder / text)
        if exact.is_file():
            found[exact] = None
            continue
        if not glob.has_magic(text):
            raise UserError(
                f"source.files.{split}: there is no file {exact}",
                f"check the path; {start}",
            )
        pattern = str(Path(glob.escape(str(folder))) / text)
        matches = sorted(glob.glob(pattern, recursive=True))
        paths_found = (without_parents(Path(match)) for match in matches)
        files = [path for path in paths_found if path.is_file()]
        if not files:
            raise UserError(
                f"source.files.{split}: no file matches {exact}",
                f"check the pattern; {start}",
            )
        found.update(dict.fromkeys(files))
    return list(found)


def read(
    path: Path, form: str, unit: str, text_column: str, wanted: Collection[str]
) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: the file.
        form: `txt` or a key of `TABLES`.
        unit: of a text file, see `read_txt`.
        text_column: what the text of a text file is called.
        wanted: the columns that will be looked at; others may be left out.
    """
    if form != "txt":
        return TABLES[form](path, wanted)
    return ((number, {text_column: text}) for number, text in read_txt(path, unit))


def read_txt(path: Path, unit: str) -> Iterator[tuple[int, str]]:
    """The documents of a text file with the lines they start on; blank ones left out.

    Args:
        path: a UTF-8 file.
        unit: `line`, `paragraph` (blank lines between) or `file`.
    """
    with _opened(path) as file:
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


def _read_jsonl(path: Path, _: Collection[str]) -> Iterator[Row]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
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
                    f"{path}:{number}: {line[:40].rstrip()!r} is not a JSON object",
                    "write one JSON object on every line",
                )
            yield number, cells


def _read_csv(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    with _opened(path) as file:
        rows = csv.DictReader(file, strict=True)
        try:
            names = list(rows.fieldnames or ())
            for name in wanted:
                if names.count(name) > 1:  # which of them is meant, nobody said
                    raise UserError(
                        f"{path}:{rows.line_num}: {names.count(name)} columns are "
                        f"called '{name}'",
                        "give each a name of its own",
                    )
            for cells in rows:
                if None in cells or None in cells.values():
                    raise UserError(
                        f"{path}:{rows.line_num}: the row has more or fewer cells than "
                        f"the {len(names)} columns of the first line",
                        "quote cells that hold commas",
                    )
                yield rows.line_num, cells
        except csv.Error as error:
            raise UserError(
                f"{path}:{rows.line_num}: not CSV ({error})", "mend the line"
            ) from error


def _read_parquet(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise UserError(
            f"{path}: reading .parquet needs the package pyarrow",
            "pip install pyarrow, or save the file as .jsonl",
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            # All of them where one is missing, so that the error can list them.
            known = set(file.schema_arrow.names)
            columns = sorted(wanted) if known.issuperset(wanted) else None
            number = 0
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
                for cells in batch.to_pylist():
                    number += 1
                    yield number, cells
    except (ArrowException, OSError) as error:
        raise UserError(
            f"{path}: not a parquet file ({error})", "check the file"
        ) from error


TABLES: Mapping[str, Callable[[Path, Collection[str]], Iterator[Row]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "parquet": _read_parquet,
}


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """A UTF-8 file, its line ends as they are written on Unix.

    Raises:
        UserError: it cannot be read, or what was read is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "check the file"
        ) from error
    except UnicodeDecodeError as error:
        line, byte = _first_bad_byte(path)
        raise UserError(
            f"{path}:{line}: byte {byte} of the file is not UTF-8 text",
            "save the file in UTF-8",
        ) from error


def _first_bad_byte(path: Path) -> tuple[int, int]:
    """Where a file that is not UTF-8 stops being it: the line, and the byte from 0."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, before = 1, 0  # of the bytes that the decoder looks at
    with path.open("rb") as file:
        while True:
            chunk = file.read(BYTES_AT_ONCE)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                bad = error.start - held  # below 0 in the bytes of the chunk before
                return line + chunk[: max(0, bad)].count(b"\n"), before + bad
            if not chunk:
                return line, before
            line, before = line + chunk.count(b"\n"), before + len(chunk)

"""Text files, plain or compressed: UTF-8 and nothing else."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from xlmgen.errors import UserError

COMPRESSED: Mapping[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""What opens a compressed file, by the last ending of its name in lower case."""
BYTES_AT_ONCE = 1 << 20


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed, as its name says."""
    return path.suffix.lower() in COMPRESSED


def ending(path: Path) -> str:
    """The ending for what a file holds, in lower case: `.jsonl` of `A.JSONL.gz`."""
    return (Path(path.stem) if is_compressed(path) else path).suffix.lower()


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """A UTF-8 file, its line ends as they are written on Unix.

    Raises:
        UserError: it cannot be read, or what was read is not UTF-8.
    """
    try:
        with (
            _bytes_of(path) as content,
            io.TextIOWrapper(content, encoding="utf-8-sig") as file,
        ):
            yield file
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        said = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {said}", "check the file") from error
    except UnicodeDecodeError as error:
        line, byte = _first_bad_byte(path)
        raise UserError(
            f"{path}:{line}: byte {byte} of the file is not UTF-8 text",
            "save the file in UTF-8",
        ) from error


def _bytes_of(path: Path) -> IO[bytes]:
    """The content of a file, decompressed where its name says so."""
    found: IO[bytes] = COMPRESSED.get(path.suffix.lower(), open)(path, "rb")
    return found


def _first_bad_byte(path: Path) -> tuple[int, int]:
    """Where a file that is not UTF-8 stops being it: the line, and the byte from 0."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, before = 1, 0  # of the bytes that the decoder looks at
    with _bytes_of(path) as file:
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

"""UTF-8 text files, plain or compressed."""

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
"""Opener of a compressed file, by its last suffix in lower case."""
BYTES_AT_ONCE = 1 << 20


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed, by its suffix."""
    return path.suffix.lower() in COMPRESSED


def ending(path: Path) -> str:
    """Suffix of a file's contents, in lower case: `.jsonl` of `A.JSONL.gz`."""
    return (Path(path.stem) if is_compressed(path) else path).suffix.lower()


@contextmanager
def opened(path: Path, most: int | None = None) -> Iterator[IO[str]]:
    """Open a UTF-8 file, with line ends translated to `\\n`.

    Args:
        path: the file, compressed or not.
        most: number of bytes to read at most, after decompression; the text then ends
            with a complete line, or with a complete character if it has one line.

    Raises:
        UserError: it cannot be read, or is not valid UTF-8.
    """
    try:
        with (
            _readable(path),
            _bytes_of(path) if most is None else _complete_lines(path, most) as content,
            io.TextIOWrapper(content, encoding="utf-8-sig") as file,
        ):
            yield file
    except UnicodeDecodeError as error:
        line, byte = _first_bad_byte(path)
        raise UserError(
            f"{path}:{line}: byte {byte} of the file is not valid UTF-8",
            "save the file in UTF-8",
        ) from error


def first_bytes(path: Path, most: int) -> bytes:
    """Read the first bytes of a file, decompressed.

    Raises:
        UserError: it cannot be read.
    """
    with _readable(path), _bytes_of(path) as file:
        return file.read(most)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Translate errors of reading a file into user errors."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {path}: {reason}", "check the file") from error


def _complete_lines(path: Path, most: int) -> IO[bytes]:
    """Read the complete lines among the first bytes of a file."""
    content = first_bytes(path, most + 1)
    if len(content) > most:
        content = content[: content.rfind(b"\n", 0, most) + 1] or content[:most]
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        decoder.decode(content)
        content = content[: len(content) - len(decoder.getstate()[0])]
    return io.BytesIO(content)


def _bytes_of(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, decompressed by its suffix."""
    found: IO[bytes] = COMPRESSED.get(path.suffix.lower(), open)(path, "rb")
    return found


def _first_bad_byte(path: Path) -> tuple[int, int]:
    """Line, and byte counted from 0, of the first invalid UTF-8 sequence of a file."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, before = 1, 0  # line and byte of the start of the chunk
    with _bytes_of(path) as file:
        while True:
            chunk = file.read(BYTES_AT_ONCE)
            held = len(decoder.getstate()[0])  # bytes of an incomplete character
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                bad = error.start - held  # negative in bytes of the previous chunk
                return line + chunk[: max(0, bad)].count(b"\n"), before + bad
            if not chunk:
                return line, before
            line, before = line + chunk.count(b"\n"), before + len(chunk)

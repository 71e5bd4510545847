"""Manifest of a folder: sizes and hashes of its files as they were written.

The manifest is written last. Files are hashed while they are written, which saves
reading large files again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from xlmgen.errors import UserError
from xlmgen.io.json_input import Schema, read_object

MANIFEST = "manifest.json"
SCHEMA: Schema = {
    "required": ["files"],
    "properties": {
        "files": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["size", "sha256"],
                "properties": {
                    "size": {"type": "integer"},
                    "sha256": {"type": "string"},
                },
            },
        }
    },
}


class FileDigest(NamedTuple):
    """Size and hash of a file when it was written."""

    size: int
    sha256: str


class Manifest(NamedTuple):
    """The manifest of a folder.

    Args:
        about: further entries.
        files: size and hash of every file by its path in the folder.
    """

    about: Mapping[str, Any]
    files: Mapping[str, FileDigest]


class HashedFile:
    """A new file that is hashed while it is written; a context manager.

    `error` is the system's error if writing failed, because a library that writes to
    this file may raise another exception.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._file = path.open("xb", buffering=0)
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        done = 0
        try:
            while done < len(view):  # a call may write only a part
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            self.error = error
            raise
        self._size += done
        return done

    def flush(self) -> None:
        """Do nothing: writes are unbuffered."""

    @property
    def digest(self) -> FileDigest:
        return FileDigest(self._size, self._hash.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_hashed(source: Path, target: Path) -> FileDigest:
    """Copy a file to a path that does not exist, and hash it."""
    with source.open("rb") as file, HashedFile(target) as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
        return copy.digest


def write_manifest(
    folder: Path,
    about: Mapping[str, Any],
    known: Mapping[str, FileDigest] | None = None,
) -> None:
    """Write the manifest of a folder with all its files.

    Args:
        about: further entries, as JSON values.
        known: files that were hashed already; the others are read.
    """
    digests = dict(known or {})
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in digests:
            digests[name] = FileDigest(path.stat().st_size, file_digest(path))
    files = {name: digest._asdict() for name, digest in sorted(digests.items())}
    text = json.dumps({**about, "files": files}, indent=1)
    with HashedFile(folder / MANIFEST) as file:
        file.write(text.encode())


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if it is missing or unreadable."""
    try:
        about = read_object(folder / MANIFEST, "", SCHEMA)
    except UserError:
        return None  # this module did not write it
    files = {
        name: FileDigest(digest["size"], digest["sha256"])
        for name, digest in about.pop("files").items()
    }
    return Manifest(about, files)


def problem(folder: Path, digests: Mapping[str, FileDigest]) -> str | None:
    """Describe the first file that differs from its entry; None if all match."""
    try:
        return next(_problems(folder, digests), None)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror}"


def _problems(folder: Path, digests: Mapping[str, FileDigest]) -> Iterator[str]:
    for name, digest in digests.items():  # sizes first, because they are cheap
        if not (folder / name).is_file():
            yield f"{name} is missing"
        elif (size := (folder / name).stat().st_size) != digest.size:
            yield f"{name} has {size} bytes instead of {digest.size}"
    for name, digest in digests.items():
        if file_digest(folder / name) != digest.sha256:
            yield f"checksum mismatch of {name}"

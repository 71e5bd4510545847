"""File hashes, stored in the cache so that a large file is hashed once."""

from __future__ import annotations

import hashlib
import json
import re
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from xlmgen.io import manifest
from xlmgen.io.files import real_path, write_text
from xlmgen.io.json_input import parse_json
from xlmgen.resources import cache_root

LARGE = 16 << 20
"""Size in bytes from which on hashes are stored; smaller files are always read."""
RECORD = re.compile(r"[0-9a-f]{32}\.json")
SETTLED = 2 * 10**9
"""Nanoseconds after which another write is sure to change a file's ctime."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file's contents.

    A large file is hashed again when its size, mtime, ctime or inode has changed.
    """
    if path.stat().st_size < LARGE:
        return manifest.file_digest(path)
    record = _folder() / f"{_name(str(real_path(path)))}.json"
    before = _state(path)
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = parse_json(record.read_bytes())
        if known["state"] == before:
            return str(known["sha256"])
    found = manifest.file_digest(path)
    # Not for a file written just now: a second write within the same clock tick would
    # leave its times unchanged.
    settled = time.time_ns() - max(before[1:3]) > SETTLED
    if settled and _state(path) == before:
        with suppress(OSError):
            write_text(record, json.dumps({"state": before, "sha256": found}))
    return found


def forget() -> None:
    """Remove all stored hashes."""
    with suppress(OSError):
        for path in _folder().iterdir():
            if RECORD.fullmatch(path.name):
                path.unlink()
        _folder().rmdir()  # fails if it has other files


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(canonical(value)).hexdigest()


def code_digest(module: ModuleType) -> str:
    """SHA-256 of a module's source, since its output may change with its code."""
    assert module.__file__ is not None
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()


def canonical(value: Any) -> bytes:
    """Canonical bytes of a JSON value, independent of the order of its keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True).encode()


def _folder() -> Path:
    return cache_root() / "digests"


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _name(path: str) -> str:
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:32]

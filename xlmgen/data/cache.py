"""Folders of derived files that are complete or not there at all.

An entry is written under a temporary name and renamed into place, so that a killed
process leaves nothing that looks finished. Of several processes that want one entry,
one makes it and the others wait; where the file system has no locks they all make it,
and the first to finish wins. A manifest with the size and hash of every file is written
last; an entry that does not agree with its manifest is built anew.

A large file is not read to be checked: its hash counts again when its size or the time
of its last writing is not what the manifest says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmgen.data.digests import LARGE, digest
from xlmgen.errors import UserError
from xlmgen.io.files import write_text
from xlmgen.io.json_input import Schema, read_object
from xlmgen.io.locks import hold
from xlmgen.io.manifest import MANIFEST, file_digest
from xlmgen.resources import cache_root
from xlmgen.terminal.output import say

FORMAT = 2  # raised when the files of an entry change their meaning
ENTRY = re.compile(r"[0-9a-f]{32}")
A_DAY = 24 * 60 * 60
LEFT = re.compile(r"\.(draft|broken)-.+")
MANIFEST_SCHEMA: Schema = {
    "required": ["key", "files"],
    "properties": {
        "key": {"type": "string"},
        "files": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["size", "written", "sha256"],
                "properties": {
                    "size": {"type": "integer"},
                    "written": {"type": "integer"},
                    "sha256": {"type": "string"},
                },
            },
        },
    },
}


def entry(
    what: Mapping[str, Any],
    build: Callable[[Path], None],
    *,
    resumable: bool = False,
    about: str = "",
) -> Path:
    """The folder of what `build` writes, built now if it is not there.

    Args:
        what: all that decides about the content, as JSON values; its hash is the
            entry's name.
        build: writes the content into the folder that it is given.
        resumable: give `build` the folder of an earlier build that was stopped, with
            all that this wrote. Not where the file system has no locks.
        about: what the entry is, for a person who lists the cache.

    Raises:
        UserError: the cache cannot be written.
    """
    key = digest({"format": FORMAT, **what})
    folder = cache_root() / key[:32]
    if _complete(folder, key):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _turn(folder) as alone:
            if _complete(folder, key):
                return folder  # made by the process that was waited for
            with _draft(folder, alone=alone, kept=resumable and alone) as draft:
                build(draft)
                _seal(draft, key, {"what": what.get("what", ""), "about": about})
                _install(draft, folder, key)
    except OSError as error:
        raise UserError(
            f"cannot write the cache {folder.parent}: {error.strerror or error}",
            "make room, or set XLMGEN_CACHE to a folder that can be written",
        ) from error
    return folder


@dataclass(frozen=True)
class Found:
    """Something of ours in the cache.

    Args:
        path: its folder.
        what: `examples`, `tokenizer`, …, or `unfinished`.
        about: which task it was made for.
        size: bytes of its files.
        used: when it was last used, or made; seconds since 1970.
        files: the names in it that were written by us.
    """

    path: Path
    what: str
    about: str
    size: int
    used: float
    files: tuple[str, ...]


def entries() -> list[Found]:
    """What the cache holds of ours, the last used first; nothing that is not ours."""
    root = cache_root()
    found = []
    for path in root.iterdir() if root.is_dir() else ():
        with suppress(OSError):
            if path.is_symlink():
                continue
            if ENTRY.fullmatch(path.name) and (manifest := _manifest(path)):
                found.append(_found(path, manifest))
            elif LEFT.fullmatch(path.name):
                size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
                when = path.stat().st_mtime
                found.append(Found(path, "unfinished", "", size, when, ()))
    return sorted(found, key=lambda each: (-each.used, each.path))


def remove(found: Found) -> bool:
    """Remove an entry; False where a process is making it just now.

    Only the files that were written by us go; a folder that holds others stays.
    """
    if found.what == "unfinished":
        target = found.path.with_name(found.path.name.partition("-")[2])
        if not ENTRY.fullmatch(target.name):  # made where there are no locks
            return time.time() - found.used > A_DAY and _removed(found.path)
        with _turn(target, wait=False) as alone:
            return alone and _removed(found.path)
    # The manifest goes first: what is half removed is no entry.
    for name in (MANIFEST, *found.files):
        (found.path / name).unlink(missing_ok=True)
    with suppress(OSError):
        found.path.rmdir()
    return True


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder)
    return True


def _found(path: Path, manifest: Mapping[str, Any]) -> Found:
    files = manifest["files"]
    return Found(
        path,
        str(manifest.get("what", "")),
        str(manifest.get("about", "")),
        sum(int(file["size"]) for file in files.values()),
        (path / MANIFEST).stat().st_mtime,
        tuple(files),
    )


def _turn(folder: Path, *, wait: bool = True) -> AbstractContextManager[bool]:
    """Wait until no other process is at this entry; whether that is certain."""

    def occupied(owner: str) -> bool:
        if wait:
            said = f"process {owner} is preparing the same data; waiting for it"
            say(said, file=sys.stderr)
        return wait

    return hold(folder.with_name(f".lock-{folder.name}"), occupied)


@contextmanager
def _draft(folder: Path, *, alone: bool, kept: bool) -> Iterator[Path]:
    """A folder to build in.

    Args:
        alone: no other process builds the same now, so that it has the entry's name.
        kept: it stays where the build was stopped from outside; a mistake in the data
            would meet the next build as well.
    """
    if alone:
        draft = folder.with_name(f".draft-{folder.name}")
        if not kept:
            shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(exist_ok=kept)
    else:
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        yield draft
    except UserError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    except BaseException:
        if not kept:
            shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(draft, ignore_errors=True)  # where another process was first


def _seal(folder: Path, key: str, more: Mapping[str, Any]) -> None:
    files = {}
    for path in sorted(folder.iterdir()):
        found = path.stat()
        files[path.name] = {
            "size": found.st_size,
            "written": found.st_mtime_ns,
            "sha256": file_digest(path),
        }
    _write_manifest(folder, {"key": key, **more, "files": files})


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1))


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder that is one of ours."""
    try:
        manifest = read_object(folder / MANIFEST, "", MANIFEST_SCHEMA)
    except UserError:
        return None  # whatever is there was not written by this module
    inside = all(Path(name).name == name for name in manifest["files"])
    return manifest if inside and manifest["key"][:32] == folder.name else None


def _complete(folder: Path, key: str) -> bool:
    """Whether the folder holds exactly what its manifest says it holds."""
    manifest = _manifest(folder)
    if manifest is None or manifest["key"] != key:
        return False
    again = False
    try:
        if {path.name for path in folder.iterdir()} != {MANIFEST, *manifest["files"]}:
            return False
        for name, file in manifest["files"].items():
            found = (folder / name).stat()
            if found.st_size != file["size"]:
                return False
            as_left = found.st_mtime_ns == file["written"]
            if as_left and found.st_size >= LARGE:
                continue
            if file_digest(folder / name) != file["sha256"]:
                return False
            again = again or not as_left
            file["written"] = found.st_mtime_ns
    except OSError:
        return False
    with suppress(OSError):  # a cache may be read-only
        if again:  # a copied one: not to read it at each start
            _write_manifest(folder, manifest)
        os.utime(folder / MANIFEST)  # it was used
    return True


def _install(draft: Path, folder: Path, key: str) -> None:
    """Rename the draft to its place, unless another process was first."""
    while True:
        try:
            draft.rename(folder)
            return
        except OSError:
            if _complete(folder, key):
                return
            if not folder.exists():
                raise
        # Something broken is in the way. Renaming it takes it away at once, so that
        # no other process sees it half removed.
        aside = Path(tempfile.mkdtemp(prefix=".broken-", dir=folder.parent))
        try:
            folder.rename(aside / folder.name)
        except FileNotFoundError:
            pass  # another process took it away
        finally:
            shutil.rmtree(aside, ignore_errors=True)

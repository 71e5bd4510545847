"""Cache of derived files, in entries that are complete or absent.

An entry is a folder. It is written under a temporary name and renamed, so a killed
process leaves nothing that looks complete. Of several processes that need an entry, one
builds it and the others wait; on a file system without locks all of them build it, and
the first to finish wins. A manifest with the size and hash of every file is written
last; an entry that differs from its manifest is built again.

A large file is hashed again only when its size or modification time differs from the
manifest, since reading it at each start would be slow.
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

FORMAT = 2  # increase it when the files of an entry change their meaning
ENTRY = re.compile(r"[0-9a-f]{32}")
A_DAY = 24 * 60 * 60  # seconds
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
    inputs: Mapping[str, Any],
    build: Callable[[Path], None],
    *,
    resumable: bool = False,
    about: str = "",
) -> Path:
    """Return the folder of an entry, after building it if it is absent.

    Args:
        inputs: everything that determines the contents, as JSON values; their hash
            names the entry.
        build: writes the contents into a given folder.
        resumable: give `build` the folder of an interrupted build with its files; has
            no effect on a file system without locks.
        about: short description, shown by `xlmgen cache`.

    Raises:
        UserError: the cache cannot be written.
    """
    key = digest({"format": FORMAT, **inputs})
    folder = cache_root() / key[:32]
    if _complete(folder, key):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _entry_lock(folder) as is_exclusive:
            if _complete(folder, key):
                return folder  # built by the process that this one waited for
            keep = resumable and is_exclusive
            with _draft(folder, exclusive=is_exclusive, keep=keep) as draft:
                build(draft)
                what = inputs.get("what", "")
                _finish(draft, key, {"what": what, "about": about})
                _install(draft, folder, key)
    except OSError as error:
        raise UserError(
            f"cannot write the cache {folder.parent}: {error.strerror or error}",
            "free disk space, or set XLMGEN_CACHE to a writable folder",
        ) from error
    return folder


@dataclass(frozen=True)
class Found:
    """An entry of the cache, or an unfinished one.

    Args:
        path: its folder.
        what: `examples`, `tokenizer`, …, or `unfinished`.
        about: the task that it was built for.
        size: total bytes of its files.
        used: time of last use, or of creation; seconds since 1970.
        files: names of the files that xlmgen wrote into it.
    """

    path: Path
    what: str
    about: str
    size: int
    used: float
    files: tuple[str, ...]


def entries() -> list[Found]:
    """Entries of the cache, most recently used first; files of others are left out."""
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
    """Remove an entry; False where a process is building it.

    Only files that xlmgen wrote are removed; a folder with other files remains.
    """
    if found.what == "unfinished":
        target = found.path.with_name(found.path.name.partition("-")[2])
        if not ENTRY.fullmatch(target.name):  # built without locks: its age must do
            return time.time() - found.used > A_DAY and _removed(found.path)
        with _entry_lock(target, wait=False) as is_exclusive:
            return is_exclusive and _removed(found.path)
    # The manifest first: without it a partly removed folder is not an entry.
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


def _entry_lock(folder: Path, *, wait: bool = True) -> AbstractContextManager[bool]:
    """Lock an entry; yields whether the lock is certain to be exclusive."""

    def occupied(owner: str) -> bool:
        if wait:
            note = f"process {owner} is preparing the same data; waiting for it"
            say(note, file=sys.stderr)
        return wait

    return hold(folder.with_name(f".lock-{folder.name}"), occupied)


@contextmanager
def _draft(folder: Path, *, exclusive: bool, keep: bool) -> Iterator[Path]:
    """Temporary folder to build an entry in.

    Args:
        exclusive: no other process builds this entry, so the draft has a fixed name
            and an interrupted build can be found again.
        keep: keep the draft after an interruption. A `UserError` removes it in any
            case: the next build would fail in the same way.
    """
    if exclusive:
        draft = folder.with_name(f".draft-{folder.name}")
        if not keep:
            shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(exist_ok=keep)
    else:
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        yield draft
    except UserError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    except BaseException:
        if not keep:
            shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(draft, ignore_errors=True)  # left where another process was first


def _finish(folder: Path, key: str, more: Mapping[str, Any]) -> None:
    """Write the manifest of a built entry."""
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
    """Manifest of an entry; None for a folder that is not an entry."""
    try:
        manifest = read_object(folder / MANIFEST, "", MANIFEST_SCHEMA)
    except UserError:
        return None  # not written by this module
    inside = all(Path(name).name == name for name in manifest["files"])
    return manifest if inside and manifest["key"][:32] == folder.name else None


def _complete(folder: Path, key: str) -> bool:
    """Whether the folder has exactly the files that its manifest lists."""
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
        if again:  # a copied entry: do not hash it again at each start
            _write_manifest(folder, manifest)
        os.utime(folder / MANIFEST)  # its time of last use
    return True


def _install(draft: Path, folder: Path, key: str) -> None:
    """Rename the draft into place, unless another process was first."""
    while True:
        try:
            draft.rename(folder)
            return
        except OSError:
            if _complete(folder, key):
                return
            if not folder.exists():
                raise
        # A broken entry is in the way. Renaming it is atomic, so no other process
        # sees it partly removed.
        aside = Path(tempfile.mkdtemp(prefix=".broken-", dir=folder.parent))
        try:
            folder.rename(aside / folder.name)
        except FileNotFoundError:
            pass  # another process moved it
        finally:
            shutil.rmtree(aside, ignore_errors=True)

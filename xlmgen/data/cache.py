"""Folders of derived files that are complete or not there at all.

An entry is written under a temporary name and renamed into place, so that a killed
process leaves nothing that looks finished and two processes at once do no harm: the
second to finish throws its own copy away. A manifest with the size and hash of every
file is written last; an entry that does not agree with its manifest is built anew.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.manifest import MANIFEST, problem, read_manifest, seal
from xlmgen.resources import cache_root

FORMAT = 1  # raised when the files of an entry change their meaning


def entry(what: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder of what `build` writes, built now if it is not there.

    Args:
        what: all that decides about the content, as JSON values; its hash is the
            entry's name.
        build: writes the content into the empty folder that it is given.

    Raises:
        UserError: the cache cannot be written.
    """
    key = digest({"format": FORMAT, **what})
    folder = cache_root() / key[:32]
    if _complete(folder, key):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"cannot write the cache {folder.parent}: {error.strerror}",
            "set XLMGEN_CACHE to a folder that can be written",
        ) from error
    try:
        build(draft)
        seal(draft, {"key": key})
        _install(draft, folder, key)
    except OSError as error:
        raise UserError(
            f"cannot write the cache {folder.parent}: {error.strerror}",
            "make room, or set XLMGEN_CACHE to another folder",
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _complete(folder: Path, key: str) -> bool:
    """Whether the folder holds exactly what its manifest says it holds."""
    manifest = read_manifest(folder)
    try:
        return (
            manifest is not None
            and manifest.about.get("key") == key
            and {path.name for path in folder.iterdir()} == {MANIFEST, *manifest.files}
            and problem(folder, manifest.files) is None
        )
    except OSError:
        return False  # another process took it away


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

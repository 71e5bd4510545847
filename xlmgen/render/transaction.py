"""Replace files of a folder atomically, by one process at a time.

While files are replaced, a journal beside the folder, `.<folder>.undo`, has the old
files. They are restored after an error or Ctrl-C, or, if the process was killed, by the
next one that writes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.files import real_path, write_json
from xlmgen.io.json_input import Schema, read_object
from xlmgen.io.locks import locked
from xlmgen.render.lock import is_inside

RECORD = "journal.json"
RECORD_SCHEMA: Schema = {
    "additionalProperties": {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {"type": ["string", "null"]},
    }
}


@dataclass(frozen=True)
class Edit:
    """A file's text before and after; None for no file.

    Args:
        path: relative POSIX path.
    """

    path: str
    old: str | None
    new: str | None


def commit(folder: Path, edits: Sequence[Edit]) -> None:
    """Make all edits in order, or none.

    Call it within `exclusive(folder)`.

    Raises:
        UserError: a file no longer has the text that the edit replaces.
        OSError: writing failed; nothing was changed.
    """
    folder = real_path(folder)  # a link to the folder itself is followed
    journal = _journal(folder)
    try:
        _prepare(journal, folder, edits)
        for edit in edits:
            _make(journal, folder, edit)
        (journal / RECORD).unlink()  # removing the record completes the transaction
    except BaseException:
        _put_back(folder)
        raise
    _sweep(journal)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock this folder and its neighbours against writes of other processes.

    An interrupted write of a killed process is undone first. Windows and some network
    file systems have no such lock; users must run one command at a time there.

    Raises:
        UserError: another process keeps the lock, or the folder cannot be written.
    """
    folder = real_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent):
            undo(folder)
            yield
    except OSError as error:
        raise UserError(
            f"cannot write {error.filename or folder}: {error.strerror or error}",
            "nothing was changed; choose a folder that can be written",
        ) from error


def interrupted(folder: Path) -> bool:
    """Whether a process was killed while writing this folder."""
    return bool(_read_record(_journal(real_path(folder))))


def undo(folder: Path) -> None:
    """Restore the files in the journal, except those edited since."""
    journal = _journal(folder)
    for path, (old, new) in reversed(_read_record(journal).items()):
        target, kept = folder / path, journal / "old" / path
        if real_path(target) != target:
            continue  # through a link
        replaced = old != new and _digest(target) == new
        if replaced and old is None:
            target.unlink()
        elif replaced and _digest(kept) == old:
            target.parent.mkdir(parents=True, exist_ok=True)
            kept.replace(target)
        if old is None:
            _remove_empty(target.parent, folder)
    if journal.is_dir() and not journal.is_symlink():
        (journal / RECORD).unlink(missing_ok=True)
        _sweep(journal)


def _put_back(folder: Path) -> None:
    """Undo, or raise an error if that fails."""
    try:
        undo(folder)
    except OSError as error:
        raise UserError(
            f"{folder} is half written, and cannot be put back now "
            f"({error.filename or folder}: {error.strerror or error})",
            "the next command that writes to it puts it back first",
        ) from error


def _sweep(journal: Path) -> None:
    """Remove a journal without a record, as far as possible.

    Files of others in it are kept, and so is the folder.
    """
    for part in ("new", "old"):
        shutil.rmtree(journal / part, ignore_errors=True)
    with suppress(OSError):
        for draft in journal.glob(f".{RECORD}.*"):
            draft.unlink()
        journal.rmdir()


def _journal(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.undo")


def _prepare(journal: Path, folder: Path, edits: Sequence[Edit]) -> None:
    """Write all new texts and copy all old files; the record is written last."""
    journal.mkdir()
    for edit in edits:
        current, new, old = (
            top / edit.path for top in (folder, journal / "new", journal / "old")
        )
        if edit.new is not None:
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(edit.new.encode())
        if edit.old is not None:
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(current, old, follow_symlinks=False)
        if edit.old is not None and edit.new is not None:
            shutil.copymode(current, new)
    record = {edit.path: [_sha256(edit.old), _sha256(edit.new)] for edit in edits}
    write_json(journal / RECORD, record)


def _make(journal: Path, folder: Path, edit: Edit) -> None:
    target = folder / edit.path
    if _digest(target) != _sha256(edit.old):
        raise UserError(
            f"nothing was written, because {target} was changed by another program",
            "run the command again",
            exit_code=1,
        )
    if edit.new is None:
        target.unlink()
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        (journal / "new" / edit.path).replace(target)


def _read_record(journal: Path) -> dict[str, tuple[str | None, str | None]]:
    """Read the digests before and after, by path; empty if nothing was replaced yet."""
    if journal.is_symlink():
        return {}
    try:
        record = read_object(journal / RECORD, "", RECORD_SCHEMA)
    except UserError:
        return {}
    return {path: (old, new) for path, (old, new) in record.items() if is_inside(path)}


def _digest(path: Path) -> str | None:
    """Return the digest of a file's content; None without a file."""
    if not os.path.lexists(path):
        return None
    if path.is_symlink() or not path.is_file():
        return "not a file"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sha256(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and its parents up to `top`, as far as they are empty."""
    with suppress(OSError):
        while folder.is_relative_to(top):
            folder.rmdir()
            folder = folder.parent

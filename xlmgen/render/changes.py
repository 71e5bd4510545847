"""Compare a render with the disk: which files are new, stale, edited or foreign."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from xlmgen.render.lock import Lock, LockError, parse_lock
from xlmgen.render.plan import LOCK


class State(Enum):
    """State of a file on disk relative to the render; the value is shown to users."""

    NEW = "new"  # not on disk
    UNCHANGED = "unchanged"
    STALE = "stale"  # unchanged since an earlier render, which is outdated
    EDITED = "edited"  # changed since it was rendered
    FOREIGN = "not written by xlmgen"
    ORPHAN = "no longer rendered"  # as an earlier render left it
    LEFT = "edited, no longer rendered: kept"
    # Results of an update for edited, foreign or deleted files.
    KEPT = "edited: kept"  # the render has not changed
    MERGED = "merged"
    CONFLICT = "conflict"
    DELETED = "deleted: left out"

    @property
    def blocks(self) -> bool:
        """Whether overwriting such a file would lose a user's work."""
        return self in (State.EDITED, State.FOREIGN)


@dataclass(frozen=True)
class Change:
    """A file of a family's folder.

    Args:
        path: relative POSIX path.
        old: its text on disk; None if it is absent or not readable as text.
        new: the planned text, from the render or from a merge; None to delete it.
        pristine: its text in the last render, if known.
    """

    path: str
    state: State
    old: str | None
    new: str | None
    pristine: str | None = None

    @property
    def moved_on(self) -> bool:
        """Whether the render differs from the last one."""
        return self.pristine is not None and self.pristine != self.new


def changes(folder: Path, rendered: Mapping[str, str]) -> list[Change]:
    """Return every file that is or was rendered, with its state in `folder`."""
    lock = read_lock(folder)
    pristine: Mapping[str, str] = lock.pristine if isinstance(lock, Lock) else {}
    found = [
        _change(folder, path, text, pristine.get(path), lock)
        for path, text in rendered.items()
    ]
    found += list(_orphans(folder, rendered, pristine))
    return found


def read_lock(folder: Path) -> Lock | LockError | None:
    """Read the folder's lock; None without one, the error if it is invalid."""
    if not os.path.lexists(folder / LOCK):
        return None
    text = read(folder / LOCK)
    if text is None:
        return LockError("it is not a regular UTF-8 file")
    try:
        return parse_lock(text)
    except LockError as error:
        return error


def read(path: Path) -> str | None:
    """Read a regular file's text with its line ends; None for anything else."""
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _change(
    folder: Path, path: str, new: str, pristine: str | None, lock: object
) -> Change:
    linked = _through_link(folder, path)
    old = None if linked else read(folder / path)
    if not os.path.lexists(folder / path) and not linked:
        state = State.NEW
    elif old is None:
        state = State.FOREIGN
    elif old == new:
        state = State.UNCHANGED
    elif path == LOCK:
        state = State.STALE if isinstance(lock, Lock) else State.FOREIGN
    elif pristine is None:
        state = State.FOREIGN
    else:
        state = State.STALE if old == pristine else State.EDITED
    return Change(path, state, old, new, pristine)


def _orphans(
    folder: Path, rendered: Mapping[str, str], pristine: Mapping[str, str]
) -> Iterator[Change]:
    for path, text in pristine.items():
        if path in rendered or _through_link(folder, path):
            continue
        old = read(folder / path)
        if old == text:
            yield Change(path, State.ORPHAN, old, None, text)
        elif os.path.lexists(folder / path):
            yield Change(path, State.LEFT, old, old, text)


def _through_link(folder: Path, path: str) -> bool:
    """Whether a parent of the file, inside the folder, is a link or a file."""
    parents = [folder.joinpath(*parts) for parts in _prefixes(path)]
    return any(p.is_symlink() or (p.exists() and not p.is_dir()) for p in parents)


def _prefixes(path: str) -> Iterator[tuple[str, ...]]:
    parts = path.split("/")[:-1]
    return (tuple(parts[:n]) for n in range(1, len(parts) + 1))

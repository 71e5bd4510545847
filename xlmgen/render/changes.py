"""A render against what is on disk: which files are new, stale, edited, not ours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from xlmgen.render.lock import Lock, LockError, parse_lock
from xlmgen.render.plan import LOCK


class State(Enum):
    """How a file on disk stands to the render; the value is the word for the user."""

    NEW = "new"  # not there yet
    UNCHANGED = "unchanged"
    STALE = "stale"  # as an earlier render left it, and the render has moved on
    EDITED = "edited"  # changed since it was rendered
    FOREIGN = "not written by xlmgen"
    ORPHAN = "no longer rendered"  # as an earlier render left it
    LEFT = "edited, no longer rendered: kept"
    # What an update makes of files that are edited, not xlmgen's, or gone.
    KEPT = "edited: kept"  # the render has not moved on
    MERGED = "merged"
    CONFLICT = "conflict"
    DELETED = "deleted: left out"

    @property
    def blocks(self) -> bool:
        """Whether writing over such a file would lose something."""
        return self in (State.EDITED, State.FOREIGN)


@dataclass(frozen=True)
class Change:
    """One file of a family's folder.

    Args:
        path: relative posix path.
        old: its text on disk; None where it is absent or not a readable text.
        new: the text that it is to have, which is the render's until an update merges;
            None where there is to be no file.
        pristine: what the last render wrote, if it is known.
    """

    path: str
    state: State
    old: str | None
    new: str | None
    pristine: str | None = None

    @property
    def moved_on(self) -> bool:
        """Whether the render differs from what the last one wrote."""
        return self.pristine is not None and self.pristine != self.new


def changes(folder: Path, rendered: Mapping[str, str]) -> list[Change]:
    """Every file that is or was rendered, with its state in `folder`."""
    lock = read_lock(folder)
    pristine: Mapping[str, str] = lock.pristine if isinstance(lock, Lock) else {}
    found = [
        _change(folder, path, text, pristine.get(path), lock)
        for path, text in rendered.items()
    ]
    found += list(_orphans(folder, rendered, pristine))
    return found


def read_lock(folder: Path) -> Lock | LockError | None:
    """The folder's lock; None without one, the error where it cannot be read."""
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
    """A regular file's text, line ends as they are; None for anything else."""
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
    """Whether the way from the folder to the file leads through a link or a file."""
    parents = [folder.joinpath(*parts) for parts in _prefixes(path)]
    return any(p.is_symlink() or (p.exists() and not p.is_dir()) for p in parents)


def _prefixes(path: str) -> Iterator[tuple[str, ...]]:
    parts = path.split("/")[:-1]
    return (tuple(parts[:n]) for n in range(1, len(parts) + 1))

"""Plan an update: merge the old render, the user's file and the new render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.merge import marked_lines, merge
from xlmgen.render.changes import Change, State, changes, read_lock
from xlmgen.render.lock import LockError
from xlmgen.render.plan import LOCK, SPEC


def updates(
    folder: Path, rendered: Mapping[str, str], *, restore: bool = False
) -> list[Change]:
    """Return every file with its state and planned text.

    | user | render | result |
    |---|---|---|
    | left it unchanged | any | new render |
    | edited it | unchanged | kept |
    | edited it | changed | merged, or a conflict |
    | created it | new | merged with an empty base: mostly a conflict |
    | deleted it | any | stays deleted; new render with `restore` |
    | left it unchanged | no longer has it | removed |
    | edited it | no longer has it | kept and reported |

    Files that are not text, such as links, are `State.FOREIGN` and not written.

    Raises:
        UserError: the folder has no valid lock, or a file has conflicts from an earlier
            update.
    """
    lock = read_lock(folder)
    command = f"`xlmgen new {folder / SPEC} --out {folder.parent}`"
    if lock is None:
        raise UserError(f"{folder} has no {LOCK}: it is not rendered", f"run {command}")
    if isinstance(lock, LockError):
        fix = f"restore it, or delete it and run {command}"
        raise UserError(f"{folder / LOCK} cannot be read: {lock}", fix)
    found = changes(folder, rendered)
    unresolved = [change for change in found if _has_markers(change)]
    if unresolved:
        raise _unresolved(folder, unresolved)
    return [_update(change, restore=restore) for change in found]


def _update(change: Change, *, restore: bool) -> Change:
    match change.state:
        case State.EDITED if not change.moved_on:
            return replace(change, state=State.KEPT, new=change.old)
        case State.EDITED | State.FOREIGN if change.old is not None:
            return _merge(change)
        case State.NEW if change.pristine is not None and not restore:
            return replace(change, state=State.DELETED, new=None)
    return change


def _merge(change: Change) -> Change:
    assert change.old is not None  # not a text: not merged
    assert change.new is not None  # not rendered any more: not merged
    merged = merge(change.pristine or "", change.old, change.new)
    state = State.CONFLICT if merged.conflict else State.MERGED
    return replace(change, state=state, new=merged.text)


def _has_markers(change: Change) -> bool:
    return change.state.blocks and bool(marked_lines(change.old or ""))


def _unresolved(folder: Path, unresolved: Sequence[Change]) -> UserError:
    places = [
        f"{folder / change.path}:{marked_lines(change.old or '')[0]}"
        for change in unresolved
    ]
    return UserError(
        f"nothing was written, because of unresolved conflicts: {', '.join(places)}",
        "keep the right version, delete the markers and run again; to drop edits of a "
        f"file, delete it and run `xlmgen update {folder} --restore`",
        exit_code=1,
    )

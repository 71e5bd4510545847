"""Write a render atomically, and never overwrite what a user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.render.changes import Change, State
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.render.transaction import Edit, commit


def write(folder: Path, planned: Sequence[Change]) -> None:
    """Bring a family's folder to the planned state.

    Plan and write within one `transaction.exclusive(folder)`.

    Raises:
        UserError: a file was edited, is not xlmgen's, or was changed since it was
            planned (exit code 1, nothing is written).
        OSError: writing failed; nothing is written.
    """
    refuse(folder, planned)
    edits = [Edit(c.path, c.old, c.new) for c in planned if c.old != c.new]
    # the lock refers to the other files, so it is written last
    edits.sort(key=lambda edit: edit.path == LOCK)
    if edits:
        commit(folder, edits)


def refuse(folder: Path, planned: Sequence[Change]) -> None:
    """Refuse to overwrite files that are not xlmgen's.

    Raises:
        UserError: there are such files; the message lists them (exit code 1).
    """
    refused = [change for change in planned if change.state.blocks]
    if not refused:
        return
    listed = "; ".join(f"{folder / c.path} ({c.state.value})" for c in refused)
    fix = "rename or delete these files and run again"
    in_place = any(c.path == SPEC and c.state is State.UNCHANGED for c in planned)
    if in_place and all(change.state is State.EDITED for change in refused):
        fix = f"run `xlmgen update {folder}`, which merges"
    raise UserError(
        f"nothing was written, because this would be lost: {listed}", fix, exit_code=1
    )

"""Writing a render: all of it or nothing, and never over what a user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.render.changes import Change, State
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.render.transaction import Edit, commit


def write(folder: Path, planned: Sequence[Change]) -> None:
    """Bring a family's folder to the planned state.

    To be called within `transaction.exclusive(folder)`, as is what planned.

    Raises:
        UserError: a file was edited or is not xlmgen's, or was changed since it was
            planned (exit code 1, nothing is written).
        OSError: the disk does not let us write; nothing is written.
    """
    refuse(folder, planned)
    edits = [Edit(c.path, c.old, c.new) for c in planned if c.old != c.new]
    edits.sort(key=lambda edit: edit.path == LOCK)  # what it speaks of comes first
    if edits:
        commit(folder, edits)


def refuse(folder: Path, planned: Sequence[Change]) -> None:
    """Stop where writing would overwrite what is not xlmgen's.

    Raises:
        UserError: it would; the files are named (exit code 1).
    """
    refused = [change for change in planned if change.state.blocks]
    if not refused:
        return
    listed = "; ".join(f"{folder / c.path} ({c.state.value})" for c in refused)
    fix = "rename or delete what is named and run again"
    in_place = any(c.path == SPEC and c.state is State.UNCHANGED for c in planned)
    if in_place and all(change.state is State.EDITED for change in refused):
        fix = f"run `xlmgen update {folder}`, which merges"
    raise UserError(
        f"nothing was written, because this would be lost: {listed}", fix, exit_code=1
    )

"""Writing a render: all of it or nothing, and never over what a user wrote."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.render.changes import Change, State
from xlmgen.render.plan import LOCK


def write(folder: Path, planned: Sequence[Change]) -> None:
    """Bring a family's folder to the planned state.

    Everything is first written to a folder beside the target. A new target is that
    folder, renamed; in an existing one the files are replaced one by one, the lock
    last, so that a run that is cut short can simply be repeated.

    Raises:
        UserError: a file was edited or is not xlmgen's (exit code 1, nothing is
            written), or the disk does not let us write.
    """
    refused = [change for change in planned if change.state.blocks]
    if refused:
        raise refusal(folder, refused)
    writes = [c for c in planned if c.new is not None and c.state != State.UNCHANGED]
    writes.sort(key=lambda change: change.path == LOCK)
    if not writes and not any(c.state is State.ORPHAN for c in planned):
        return
    try:
        _write(folder, writes, planned)
    except OSError as error:
        raise UserError(
            f"cannot write {folder}: {error.strerror or error}",
            "choose another folder with --out",
        ) from error


def refusal(folder: Path, refused: Sequence[Change]) -> UserError:
    """The error for files that writing would overwrite."""
    listed = "; ".join(f"{folder / c.path} ({c.state.value})" for c in refused)
    return UserError(
        f"nothing was written, because this would be lost: {listed}",
        "rename or delete what is named and run again, or use another --out",
        exit_code=1,
    )


def _write(folder: Path, writes: Sequence[Change], planned: Sequence[Change]) -> None:
    folder = folder.resolve()  # a link to the family's folder itself is followed
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = _staging(folder)
    try:
        for change in writes:
            path = staging / change.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((change.new or "").encode())
        if not folder.exists():
            staging.rename(folder)
            return
        for change in writes:
            target = folder / change.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if change.path == LOCK:  # what the lock speaks of is in place before it
                _remove_orphans(folder, planned)
            (staging / change.path).replace(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staging(folder: Path) -> Path:
    """An empty folder beside the target, on the same disk, with ordinary rights."""
    staging = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    staging.mkdir()
    return staging


def _remove_orphans(folder: Path, planned: Sequence[Change]) -> None:
    for change in planned:
        if change.state is State.ORPHAN:
            (folder / change.path).unlink(missing_ok=True)

"""A user's new project: files that are written into a folder, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.files import real_path
from xlmgen.render.changes import Change, State, changes
from xlmgen.render.transaction import Edit, commit, exclusive


def create(folder: Path, files: Mapping[str, str]) -> list[Change]:
    """Write a new project, all files or none.

    Args:
        folder: where to; it need not exist.
        files: relative posix path to text.

    Raises:
        UserError: some of them are there already, or the folder cannot be written.
    """
    if not real_path(folder).name:
        raise UserError(f"{folder} cannot be a project", "name another folder")
    with exclusive(folder):
        found = changes(folder, files)
        refuse(folder, found)
        commit(folder, [Edit(path, None, text) for path, text in files.items()])
        return found


def refuse(folder: Path, found: Sequence[Change]) -> None:
    """Stop where anything that is to be written is there already.

    Raises:
        UserError: something is; all of it is named (exit code 1).
    """
    there = [folder / change.path for change in found if change.state is not State.NEW]
    if folder.exists() and not folder.is_dir():
        there = [folder]
    if there:
        raise UserError(
            f"nothing was written, because this exists: {', '.join(map(str, there))}",
            "rename or delete what is named, or name an empty folder",
            exit_code=1,
        )

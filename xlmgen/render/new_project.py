"""Write the files of a new project atomically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.files import real_path
from xlmgen.render.changes import Change, State, changes
from xlmgen.render.transaction import Edit, commit, exclusive


def create(folder: Path, files: Mapping[str, str]) -> list[Change]:
    """Write all files of a new project or none.

    Args:
        folder: of the project; created if needed.
        files: relative POSIX path to text.

    Raises:
        UserError: files exist already, or the folder cannot be written.
    """
    if not real_path(folder).name:
        raise UserError(f"{folder} cannot be a project", "name another folder")
    with exclusive(folder):
        found = changes(folder, files)
        refuse(folder, found)
        commit(folder, [Edit(path, None, text) for path, text in files.items()])
        return found


def refuse(folder: Path, found: Sequence[Change]) -> None:
    """Refuse to write files that exist already.

    Raises:
        UserError: some exist; the message lists them (exit code 1).
    """
    there = [folder / change.path for change in found if change.state is not State.NEW]
    if folder.exists() and not folder.is_dir():
        there = [folder]
    if there:
        raise UserError(
            f"nothing was written, because this exists: {', '.join(map(str, there))}",
            "rename or delete these files, or give an empty folder",
            exit_code=1,
        )

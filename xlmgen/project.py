"""A user's project: what `xlmgen init` writes into a folder, and the editor's schemas.

The YAML files of a project, rendered ones too, name their schemas as
`schemas/<file>.schema.json` at its top. There, `schemas` is a link to the schemas of
the installed xlmgen: an editor checks what `xlmgen check` does, offline and after an
update too. The link is not committed; every machine makes its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from xlmgen import resources
from xlmgen.errors import UserError
from xlmgen.render.changes import Change, State, changes
from xlmgen.render.transaction import Edit, commit, exclusive

SCHEMAS = "schemas"


def planned(folder: Path, files: Mapping[str, str]) -> list[Change]:
    """Every file of a new project and the link, with its state in `folder`."""
    state = State.FOREIGN if os.path.lexists(folder / SCHEMAS) else State.NEW
    link = Change(SCHEMAS, state, None, "")  # a link has no text
    return [*changes(folder, files), link]


def create(folder: Path, files: Mapping[str, str]) -> list[Change]:
    """Write a new project, all files or none.

    Args:
        folder: where to; it need not exist.
        files: relative posix path to text.

    Raises:
        UserError: some of them are there already, or the folder cannot be written.
    """
    if not folder.resolve().name:
        raise UserError(f"{folder} cannot be a project", "name another folder")
    with exclusive(folder):
        found = planned(folder, files)
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


def link_schemas(folder: Path) -> Path:
    """Make `schemas` in a folder a link to the schemas of this xlmgen.

    A link to where no schemas are, or to those of another xlmgen, is replaced.

    Returns:
        The link.

    Raises:
        UserError: something else has that name (exit code 1), or there can be no link.
    """
    link = folder / SCHEMAS
    target = resources.root() / SCHEMAS
    ours = link.is_symlink() and (
        not link.exists() or (link / "family.schema.json").is_file()
    )
    if os.path.lexists(link) and not ours:
        raise UserError(
            f"{link} is there, and no link to schemas", "rename it", exit_code=1
        )
    temporary = folder / f".{SCHEMAS}.{os.getpid()}"
    try:
        temporary.symlink_to(target, target_is_directory=True)
        temporary.replace(link)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise UserError(
            f"cannot link {link} to {target}: {error.strerror or error}",
            "editors find no schemas until it is; all else works",
        ) from error
    return link

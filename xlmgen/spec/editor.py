"""Schemas for a project's editors: one self-contained file per kind of YAML file.

The schema of families includes the project's own kinds. xlmgen does not read them.
"""

from __future__ import annotations

from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.files import write_text
from xlmgen.spec import own_kinds
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.json_layout import json_layout
from xlmgen.spec.modeline import FOLDER
from xlmgen.spec.project import BUILT_IN, Project
from xlmgen.spec.schemas import DRAFT, FILES, SUFFIX

NOTE = "Written by `xlmgen schemas`; do not edit."


def schema_texts(project: Project = BUILT_IN) -> dict[str, str]:
    """Return the text of every schema, by its file name in `schemas/`."""
    head = {"$schema": DRAFT, "$comment": NOTE}
    return {
        f"{file}{SUFFIX}": json_layout({**head, **project.schemas.schema(file)})
        for file in FILES
    }


def write_schemas(project: Project) -> tuple[Path, list[str]]:
    """Update the schemas of a project.

    Returns:
        Their folder (at the top of the project, or in the current folder without kinds
        of its own) and the names of the files that changed.

    Raises:
        SpecError: the project's own kinds have problems.
        UserError: a file exists that xlmgen did not write, or writing failed.
    """
    if broken := own_kinds.problems(project):
        raise SpecError(broken)
    folder = (project.root or Path()) / FOLDER
    wanted = schema_texts(project)
    try:
        changed = [name for name in wanted if _old(folder / name) != wanted[name]]
        for name in changed:
            write_text(folder / name, wanted[name])
    except OSError as error:
        raise UserError(
            f"cannot write the schemas to {folder}: {error.strerror or error}",
            "check the permissions of the folder",
        ) from error
    return folder, changed


def _old(path: Path) -> str | None:
    """Read the schema that an earlier call wrote; None without a file."""
    if not path.exists():
        return None
    text = path.read_text("utf-8", errors="replace")
    if NOTE not in text:
        raise UserError(
            f"{path} was not written by `xlmgen schemas`",
            "move it away; nothing was written",
        )
    return text

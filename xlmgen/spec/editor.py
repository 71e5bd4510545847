"""The schemas that a project's editors follow: one file for each kind of YAML file.

None of them refers to another, and that of families knows the project's own kinds.
xlmgen itself does not read them.
"""

from __future__ import annotations

from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.files import write_text
from xlmgen.spec import own_kinds
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.modeline import FOLDER
from xlmgen.spec.project import BUILT_IN, Project
from xlmgen.spec.schemas import DRAFT, FILES, SUFFIX, index_text

NOTE = "Written by `xlmgen schemas`; do not edit."


def schema_texts(project: Project = BUILT_IN) -> dict[str, str]:
    """The text of every schema, by its file name in `schemas/`."""
    head = {"$schema": DRAFT, "$comment": NOTE}
    return {
        f"{file}{SUFFIX}": index_text({**head, **project.schemas.schema(file)})
        for file in FILES
    }


def write_schemas(project: Project) -> tuple[Path, list[str]]:
    """Bring the schemas of a project up to date.

    Returns:
        Their folder, at the top of the project or in the current folder where that has
        no kinds of its own, and the names of the files that changed.

    Raises:
        SpecError: the project's own kinds have problems.
        UserError: a file that this did not write stands in the way, or none can be
            written.
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
            "see to it that the folder can be read and written",
        ) from error
    return folder, changed


def _old(path: Path) -> str | None:
    """What this wrote there before; None where there is nothing."""
    if not path.exists():
        return None
    text = path.read_text("utf-8", errors="replace")
    if NOTE not in text:
        raise UserError(
            f"{path} was not written by `xlmgen schemas`",
            "move it away; nothing was written",
        )
    return text

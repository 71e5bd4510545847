"""The schema of a project's families for its editors, own kinds among the rest.

`python -m xlmgen.spec.editor` writes `schemas/family.schema.json` in the project of the
current folder: one file that refers to no other. `xlmgen check --fix` then adds the
line by which an editor finds it. xlmgen itself does not read it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.files import write_text
from xlmgen.spec import own_kinds
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.project import Project, project_of
from xlmgen.spec.schemas import DRAFT, SUFFIX, index_text

WRITTEN = "Written by `python -m xlmgen.spec.editor`; do not edit."


def write_schema(project: Project) -> Path:
    """Write the schema of a project's families, and say where.

    Raises:
        SpecError: the project's own kinds have problems.
        UserError: there are no own kinds, or a file is there that this did not write.
    """
    if project.root is None:
        raise UserError(
            "there is no folder schemas/kinds or templates/family here or above",
            "go to the project, or name its folder",
        )
    if broken := own_kinds.problems(project):
        raise SpecError(broken)
    path = project.root / "schemas" / f"family{SUFFIX}"
    if path.exists() and WRITTEN not in path.read_text("utf-8", errors="replace"):
        fix = "move it away; it is not needed beside the one that would be written"
        raise UserError(f"{path} was written by something else", fix)
    schema = {"$schema": DRAFT, "$comment": WRITTEN, **project.schemas.schema("family")}
    write_text(path, index_text(schema))
    return path


def main(arguments: list[str]) -> int:
    try:
        print(write_schema(project_of(arguments[0] if arguments else ".")))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

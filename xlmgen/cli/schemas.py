"""`xlmgen schemas`: write the schemas of a project for editors."""

from __future__ import annotations

from xlmgen.terminal.output import say


def schemas() -> int:
    """Write the JSON Schemas to ./schemas, for editors.

    The experiments of a rendered family refer to them by a relative path; `xlmgen check
    --fix` adds that line to files without one. In a project with kinds of its own, the
    schemas are written to its top folder and include those kinds. Run this command
    again after upgrading xlmgen or changing such a kind. Files that it did not write
    are never overwritten.

    Example: xlmgen schemas
    """
    from xlmgen.spec.editor import schema_texts, write_schemas
    from xlmgen.spec.project import project_of

    folder, changed = write_schemas(project_of("."))
    say(f"{len(changed)} of {len(schema_texts())} files changed in {folder}")
    return 0

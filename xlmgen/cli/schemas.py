"""`xlmgen schemas`: the schemas in a project, for its editors."""

from __future__ import annotations

from xlmgen.terminal.output import say


def schemas() -> int:
    """Write the JSON Schemas to ./schemas, for editors.

    The experiments of a family rendered to ./families name them by a relative path, and
    `xlmgen check --fix` adds the line that does so to files without one. In a project
    with kinds of its own they are written at its top, and know those kinds. Run it
    again after an upgrade of xlmgen or a change of such a kind. A file that it did not
    write is never overwritten.

    Example: xlmgen schemas
    """
    from xlmgen.spec.editor import schema_texts, write_schemas
    from xlmgen.spec.project import project_of

    folder, changed = write_schemas(project_of("."))
    say(f"{len(changed)} of {len(schema_texts())} files changed in {folder}")
    return 0

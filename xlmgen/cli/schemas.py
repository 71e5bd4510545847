"""`xlmgen schemas`: the schemas in a project, for its editors."""

from __future__ import annotations

from pathlib import Path


def schemas() -> int:
    """Copy the JSON Schemas to ./schemas, where editors follow them.

    The experiments of a family rendered to ./families name them by a relative path, and
    `xlmgen check --fix` adds the line that does so to files without one. Run it again
    after an upgrade of xlmgen. A file that is no such copy is never overwritten.

    Example: xlmgen schemas
    """
    from xlmgen.spec.modeline import FOLDER
    from xlmgen.spec.schema_copies import copies, write_copies

    changed = write_copies(Path(FOLDER))
    print(f"{len(changed)} of {len(copies())} files changed in {FOLDER}")
    return 0

"""The comment line that names a file's schema for editors.

`# yaml-language-server: $schema=../schemas/family.schema.json`; a relative path starts
from the file's folder. A project with schemas has them in a folder `schemas` beside the
file or above it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from xlmgen.io.files import real_path
from xlmgen.spec.schemas import SUFFIX

FOLDER = "schemas"
LINE = re.compile(
    r"^\ufeff?#[ \t]*yaml-language-server[ \t]*:[ \t]*\$schema=(?P<schema>\S+)",
    re.MULTILINE,
)


def modeline(schema: str) -> str:
    """Return the line that names a schema."""
    return f"# yaml-language-server: $schema={schema}"


def project_schema(file: Path, kind: str) -> str | None:
    """Return the relative path from a file to its project's schema, if any."""
    folder = real_path(file).parent
    for above in (folder, *folder.parents):
        if (above / FOLDER / f"{kind}{SUFFIX}").is_file():
            path = os.path.relpath(above / FOLDER / f"{kind}{SUFFIX}", folder)
            return Path(path).as_posix()
    return None


def with_schema_path(text: str, file: Path, kind: str) -> str:
    """Adapt the schema path of a text that is moved to another file.

    A relative path that does not exist from there is replaced by the project's schema,
    if there is one. Everything else is kept.
    """
    found = LINE.search(text)
    if not found:
        return text
    named = found["schema"]
    if "://" in named or os.path.isabs(named) or os.path.isfile(file.parent / named):
        return text
    schema = project_schema(file, kind) or named
    return text[: found.start("schema")] + schema + text[found.end("schema") :]

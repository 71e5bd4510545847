"""The line from which an editor knows a file's schema.

`# yaml-language-server: $schema=../schemas/family.schema.json`; a relative path starts
from the file's own folder. A project that holds the schemas has them in a folder
`schemas` beside the file or above it.
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
    """The line that names a schema."""
    return f"# yaml-language-server: $schema={schema}"


def project_schema(file: Path, kind: str) -> str | None:
    """The relative path from a file to the schema of its kind in its project."""
    folder = real_path(file).parent
    for above in (folder, *folder.parents):
        if (above / FOLDER / f"{kind}{SUFFIX}").is_file():
            path = os.path.relpath(above / FOLDER / f"{kind}{SUFFIX}", folder)
            return Path(path).as_posix()
    return None


def at(text: str, file: Path, kind: str) -> str:
    """A text as it is to be in a file: its line names the schema from there.

    A relative path that leads nowhere from there gives way to the project's schema,
    where there is one. All else stays.
    """
    found = LINE.search(text)
    if not found:
        return text
    named = found["schema"]
    if "://" in named or os.path.isabs(named) or os.path.isfile(file.parent / named):
        return text
    schema = project_schema(file, kind) or named
    return text[: found.start("schema")] + schema + text[found.end("schema") :]

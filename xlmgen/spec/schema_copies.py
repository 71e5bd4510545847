"""Copies of the schemas in a user's project, where editors follow them."""

from __future__ import annotations

import json
from pathlib import Path

from xlmgen import resources
from xlmgen.errors import UserError
from xlmgen.files import write_text
from xlmgen.spec.schemas import SUFFIX, index_text

NOTE = "Copied by `xlmgen schemas`; do not edit."


def copies() -> dict[str, str]:
    """Every schema that ships: relative posix path to the text of its copy."""
    root = resources.root() / "schemas"
    return {
        path.relative_to(root).as_posix(): _copy(path)
        for path in sorted(root.rglob(f"*{SUFFIX}"))
    }


def write_copies(folder: Path) -> list[str]:
    """Bring the copies in a folder up to date, and say which files changed.

    A copy of a schema that no longer ships is removed.

    Raises:
        UserError: a file that is no copy stands in the way, or cannot be written.
    """
    try:
        return _write(folder, copies())
    except OSError as error:
        raise UserError(
            f"cannot write the schemas to {folder}: {error.strerror or error}",
            "see to it that the folder can be read and written",
        ) from error


def _write(folder: Path, wanted: dict[str, str]) -> list[str]:
    there = {
        path.relative_to(folder).as_posix(): path.read_text("utf-8", errors="replace")
        for path in sorted(folder.rglob(f"*{SUFFIX}"))
    }
    for name, text in there.items():
        if name in wanted and NOTE not in text:
            raise UserError(
                f"{folder / name} was not written by `xlmgen schemas`",
                "move it away; nothing was written",
            )
    changed = [name for name, text in wanted.items() if there.get(name) != text]
    left = [name for name, text in there.items() if name not in wanted and NOTE in text]
    for name in changed:
        write_text(folder / name, wanted[name])
    for name in left:
        (folder / name).unlink()
    return [*changed, *left]


def _copy(path: Path) -> str:
    schema = json.loads(path.read_text("utf-8"))
    return index_text({**schema, "$comment": NOTE})

"""Find specs: named files, and spec files in named folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.io.data_files import draft_hint
from xlmgen.io.files import is_plain, real_path
from xlmgen.spec.document import Document
from xlmgen.spec.load import MAX_BYTES
from xlmgen.spec.messages import similar_path
from xlmgen.spec.schemas import FILES, built_in
from xlmgen.spec.validate import file_kind

SPEC = "family.yaml"
YAML = (".yaml", ".yml")
SPEC_LINE = re.compile(r"^[\"']?spec[\"']?[ \t]*:[ \t]*[\"']?xlmgen/", re.MULTILINE)
# Folders that hold copies or other people's files.
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
# Files that identify a run folder; this module must not import `xlmgen.runs.run`.
RUN = frozenset({"experiment.yaml", "versions.json"})


def discover(paths: Iterable[Path]) -> list[Path]:
    """Return the named files and the specs in named folders, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = list(specs(path))
            if not inside:
                raise UserError(
                    f"no spec in {path}",
                    draft_hint(path)
                    or "specs are YAML files with a line such as 'spec: "
                    "xlmgen/family/v1'",
                )
        elif os.path.lexists(path):
            inside = [path]
        else:
            raise UserError(f"there is no file or folder {path}", similar_path(path))
        for file in inside:
            found.setdefault(real_path(file), file)
    return list(found.values())


def specs(folder: Path) -> Iterator[Path]:
    """Find the specs in a folder and its subfolders, except run folders."""
    for root, folders, files in os.walk(folder):
        if set(files) >= RUN:
            folders.clear()  # a run keeps copies of its specs, which must not change
            continue
        folders[:] = sorted(f for f in folders if not is_skipped(f))
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix in YAML and (name == SPEC or has_spec_line(_text(path))):
                yield path


def is_skipped(folder: str) -> bool:
    """Whether a folder of this name is not searched."""
    return folder in SKIPPED or folder.startswith(".")


def has_spec_line(text: str) -> bool:
    """Whether a text has a `spec:` line."""
    return bool(SPEC_LINE.search(text))


def _text(path: Path) -> str:
    """Read the beginning of a regular file; a pipe could block, a huge file be slow."""
    try:
        if not is_plain(path):
            return ""
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def guess_kind(document: Document) -> str:
    """Guess which schema a file is for: by its `spec:` line, else by its keys."""
    kind = file_kind(document)
    if kind:
        return kind
    keys = set(document.data or ())

    def common(file: str) -> int:
        return len(keys & set(built_in().schema(file)["properties"]))

    return max(FILES, key=common)

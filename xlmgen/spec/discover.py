"""Where specs are: files that are named, and those in folders that are named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from xlmgen.errors import UserError
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
# Files that make a folder a run; `xlmgen.runs.run` is above this module.
RUN = frozenset({"experiment.yaml", "versions.json"})


def discover(paths: Iterable[Path]) -> list[Path]:
    """The files named, and the specs in the folders named, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = list(specs(path))
            if not inside:
                raise UserError(
                    f"no spec in {path}",
                    "specs are YAML files with a line such as 'spec: xlmgen/family/v1'",
                )
        elif os.path.lexists(path):
            inside = [path]
        else:
            raise UserError(f"there is no file or folder {path}", similar_path(path))
        for file in inside:
            found.setdefault(real_path(file), file)
    return list(found.values())


def specs(folder: Path) -> Iterator[Path]:
    """The specs in a folder and the folders in it, those of runs left out."""
    for root, folders, files in os.walk(folder):
        if set(files) >= RUN:
            folders.clear()  # a run's copies: as they were, and not to be mended
            continue
        folders[:] = sorted(f for f in folders if not is_skipped(f))
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix in YAML and (name == SPEC or has_spec_line(_text(path))):
                yield path


def is_skipped(folder: str) -> bool:
    """Whether a folder of this name holds what nobody wrote here."""
    return folder in SKIPPED or folder.startswith(".")


def has_spec_line(text: str) -> bool:
    """Whether a text says of itself that it is a spec."""
    return bool(SPEC_LINE.search(text))


def _text(path: Path) -> str:
    """What a regular file begins with: a pipe would not end, nor a huge file soon."""
    try:
        if not is_plain(path):
            return ""
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def guess_kind(document: Document) -> str:
    """Which schema a file is meant for: by its `spec:` line, else by its keys."""
    kind = file_kind(document)
    if kind:
        return kind
    keys = set(document.data or ())

    def common(file: str) -> int:
        return len(keys & set(built_in().schema(file)["properties"]))

    return max(FILES, key=common)

"""Files of data, named where a YAML file is wanted."""

from __future__ import annotations

import shlex
from pathlib import Path

from xlmgen.io.files import visible

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".txt")
"""Suffixes of files that a task can read."""
COMPRESSED = (".gz", ".bz2", ".xz")


def is_data(path: Path) -> bool:
    """Whether a file is data, by its suffixes."""
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return Path(name).suffix in SUFFIXES


def draft_hint(path: Path) -> str:
    """The command that drafts a task from a data file, or from one in a folder.

    Empty if there is none.
    """
    if path.is_dir():
        files = (file for file in visible(path) if file.is_file() and is_data(file))
        found = next(files, None)
    else:
        found = path if path.is_file() and is_data(path) else None
    if found is None:
        return ""
    return f"`xlmgen task {shlex.quote(str(found))}` drafts a task from its data"

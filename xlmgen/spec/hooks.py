"""Python functions that YAML names: `python: "package.module:function"`.

This module does not import them. The named module must be a file of the user's project.
Installed packages cannot be named, so that YAML reaches no function that its user did
not write or copy there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xlmgen.io.files import real_path
from xlmgen.spec import document

HOOK = "python"


def hooks(data: Any, at: document.Path = ()) -> Iterator[tuple[document.Path, str]]:
    """Find all `python:` entries in a spec's data: their paths and targets."""
    if not isinstance(data, dict | list):
        return
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if key == HOOK and isinstance(value, str):
            yield (*at, key), value
        else:
            yield from hooks(value, (*at, key))


def function_name(target: str) -> str:
    """Return the function's name in `package.module:function`."""
    return target.rpartition(":")[2]


def module_file(target: str) -> Path:
    """Return the relative path of a target's module, unless it is a package."""
    return Path(*target.partition(":")[0].split(".")).with_suffix(".py")


def find_module(target: str, folder: Path) -> tuple[Path, Path] | None:
    """Find the module of a target: the folder of its project, and its file.

    Searches the folder of the YAML file and those above it up to the top of the git
    repository, nearest first; then the current folder and the folders of
    `$XLMGEN_PATH`, because a run folder may be anywhere.
    """
    file = module_file(target)
    for root in _projects(folder):
        for place in (root / file.with_suffix("") / "__init__.py", root / file):
            if place.is_file():
                return root, place
    return None


def _projects(folder: Path) -> Iterator[Path]:
    start = real_path(folder)
    for above in (start, *start.parents):
        yield above
        if (above / ".git").exists():
            break
    yield Path.cwd()
    named = os.environ.get("XLMGEN_PATH", "").split(os.pathsep)
    yield from (real_path(Path(entry)) for entry in named if entry)

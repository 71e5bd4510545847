"""Where YAML names a user's own Python: `python: "package.module:function"`.

Nothing here imports it. The module is a file of the user's project: packages that are
installed cannot be named, so that no YAML reaches a function that its user did not
write or copy there.
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
    """Every `python:` in a spec's data, with what it names."""
    if not isinstance(data, dict | list):
        return
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if key == HOOK and isinstance(value, str):
            yield (*at, key), value
        else:
            yield from hooks(value, (*at, key))


def function_name(target: str) -> str:
    """What `package.module:function` calls the function."""
    return target.rpartition(":")[2]


def module_file(target: str) -> Path:
    """Where in a project the module of a target is, unless it is a package."""
    return Path(*target.partition(":")[0].split(".")).with_suffix(".py")


def find_module(target: str, folder: Path) -> tuple[Path, Path] | None:
    """The project that has the module of a target, and the module's file in it.

    Looked for in the folder of the YAML and in those above it, the nearest first, no
    farther up than the top of the git repository; then in the current folder, and in
    those of `$XLMGEN_PATH`: a run's folder may lie anywhere.
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

"""The one Jinja environment: strict, and with the helpers that print Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xlmgen import resources
from xlmgen.render import python

if TYPE_CHECKING:
    from jinja2 import Environment, FileSystemBytecodeCache


def template_search() -> tuple[Path, ...]:
    """Folders that hold templates; the nearest first."""
    return (resources.root() / "templates",)


@cache
def environment(search: tuple[Path, ...] | None = None) -> Environment:
    """The environment over a search path of folders, the built-in one by default.

    An undefined name is an error, a block tag takes its whole line with it, and nothing
    is escaped: the output is source code, for which `python.literal` and
    `python.docstring` make a user's text inert.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folders: Sequence[Path] = template_search() if search is None else search
    made = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        bytecode_cache=_bytecode_cache(),
    )
    helpers = (
        python.call,
        python.comment,
        python.docstring,
        python.fill,
        python.hang,
        python.imports,
        python.literal,
        python.mapping,
        python.signature,
    )
    made.globals.update({helper.__name__: helper for helper in helpers})
    made.filters["literal"] = python.literal
    return made


def _bytecode_cache() -> FileSystemBytecodeCache | None:
    """Compiled templates of earlier runs: compiling takes half the time of a check.

    None where there is no folder to keep them in.
    """
    from jinja2 import FileSystemBytecodeCache

    folder = resources.cache_root() / "templates"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None

"""The Jinja environment: strict, sandboxed, with helpers that print Python."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xlmgen import resources
from xlmgen.render import python
from xlmgen.terminal.escape import markdown

if TYPE_CHECKING:
    from jinja2 import Environment, FileSystemBytecodeCache


@cache
def environment(search: tuple[Path, ...]) -> Environment:
    """Create the environment for a search path of folders; the first match wins.

    Undefined names are errors, block tags remove their line, and nothing is escaped:
    the output is source code, in which `python.literal` and `python.docstring` quote a
    user's text. Templates of projects are not trusted, so they run in Jinja's sandbox:
    they can neither access nor change anything beyond their variables.
    """
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    from xlmgen.render.loader import FolderLoader

    made = ImmutableSandboxedEnvironment(
        loader=FolderLoader(search),
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
    made.filters |= {"literal": python.literal, "markdown": paragraph}
    return made


def paragraph(text: str) -> str:
    """Format a text of several lines as one escaped paragraph of Markdown."""
    return markdown(" ".join(text.split()))


def _bytecode_cache() -> FileSystemBytecodeCache | None:
    """Return the cache of compiled templates; compiling takes half the time of a check.

    None if there is no folder for it.
    """
    from jinja2 import FileSystemBytecodeCache

    folder = resources.cache_root() / "sandboxed"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None

"""The one Jinja environment: strict, and with the helpers that print Python."""

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
    """The environment over a search path of folders; the first that has a file wins.

    An undefined name is an error, a block tag takes its whole line with it, and nothing
    is escaped: the output is source code, for which `python.literal` and
    `python.docstring` make a user's text inert. A template may be one of a project that
    somebody else wrote, so that it runs in Jinja's sandbox: it cannot reach beyond what
    it is told, nor change that.
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
    """A text of several lines as one paragraph of Markdown that shows it."""
    return markdown(" ".join(text.split()))


def _bytecode_cache() -> FileSystemBytecodeCache | None:
    """Compiled templates of earlier runs: compiling takes half the time of a check.

    None where there is no folder to keep them in.
    """
    from jinja2 import FileSystemBytecodeCache

    folder = resources.cache_root() / "sandboxed"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return None
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None

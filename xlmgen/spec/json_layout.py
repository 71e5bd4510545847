"""JSON as people read it: short values share a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

WIDTH = 88
INDENT = 2


def json_layout(value: Any) -> str:
    """A value as JSON, with a newline at the end.

    What fits into a line of 88 characters stands in one; the parts of longer lists and
    objects fill lines, an object in its own.
    """
    return f"{_layout(value, 0, 0)}\n"


def _layout(value: Any, indent: int, taken: int) -> str:
    """A value that begins in a line of which some characters are taken."""
    line = json.dumps(value, ensure_ascii=False)
    fits = indent + taken + len(line) < WIDTH  # a comma may follow
    if fits or not isinstance(value, dict | list) or not value:
        return line
    margin = " " * (indent + INDENT)
    lines = f",\n{margin}".join(_filled(_parts(value), indent + INDENT))
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{margin}{lines}\n{' ' * indent}{closing}"


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    """What stands in front of every part, and the part."""
    if isinstance(value, list):
        yield from (("", part) for part in value)
    else:
        yield from ((f"{json.dumps(key)}: ", part) for key, part in value.items())


def _filled(parts: Iterable[tuple[str, Any]], indent: int) -> Iterator[str]:
    """Parts in lines that are as full as they can be."""
    line = ""
    for head, part in parts:
        text = head + _layout(part, indent, len(head))
        alone = isinstance(part, dict) or "\n" in text
        if line and not alone and indent + len(line) + len(text) + 2 < WIDTH:
            line += f", {text}"
            continue
        if line:
            yield line
        line = text
        if alone:
            yield line
            line = ""
    if line:
        yield line

"""Wrapping of lines at words; a word, such as a path, is never cut."""

from __future__ import annotations

import re
import unicodedata

WORD = re.compile(r"\S+\s*")
LABEL = re.compile(r"\S+(?: \S+)*?  +(?=\S)")
DEEPEST = 16
"""Most columns of a label, below whose text later lines continue."""


def breaks(line: str, width: int) -> list[int]:
    """Find where a line breaks, so that every part fits into a terminal if it can.

    An indented line is a command or code: it does not break.

    Args:
        line: the line.
        width: columns of the terminal.

    Returns:
        The start of every part but the first. Parts end with the white space that
        `indent` replaces.
    """
    if line[:1].isspace():
        return []
    found: list[int] = []
    column, indent = 0, indent_of(line)
    for word in WORD.finditer(line):
        size = columns(word[0].rstrip())
        if column + size > width and column > indent:
            found.append(word.start())
            column = indent
        column += columns(word[0])
    return found


def indent_of(line: str) -> int:
    """Columns before later parts of a line: those of its label, such as `prompt  `."""
    label = LABEL.match(line)
    size = columns(label[0]) if label else 0
    return size if size <= DEEPEST else 0


def wrap(line: str, width: int) -> str:
    """Wrap a line at words."""
    starts = breaks(line, width)
    parts = [line[a:b] for a, b in zip([0, *starts], [*starts, None], strict=True)]
    head, *rest = [part.rstrip() for part in parts] if starts else parts
    indent = " " * indent_of(line)
    return "\n".join([head, *(indent + part for part in rest)])


def columns(text: str) -> int:
    """Columns that a text takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

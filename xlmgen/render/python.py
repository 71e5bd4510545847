"""Print Python source as `ruff format` does: on one line, or one line per item.

Templates use these for code whose length depends on a family's name, so that every
render is formatted.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH = 88


def literal(value: Any) -> str:
    """Format plain data as a Python literal, with double quotes."""
    if isinstance(value, str):
        return string(value)
    if isinstance(value, Mapping):
        items = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        comma = "," if len(value) == 1 else ""
        return f"({', '.join(map(literal, value))}{comma})"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    raise TypeError(f"no literal for {type(value).__name__}")


def string(text: str) -> str:
    """Format a string literal in double quotes, or single ones if that escapes less."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = "".join(_escaped(char, quote) for char in text)
    return f"{quote}{body}{quote}"


def _escaped(char: str, quote: str) -> str:
    if char in ("\\", quote):
        return f"\\{char}"
    return char if char.isprintable() else repr(char)[1:-1]


def class_name(name: str) -> str:
    """Return the prefix of a family's classes: `my_family` → `MyFamily`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def imports(module: str, names: Iterable[str]) -> str:
    """Format `from module import …`, with the names sorted as ruff does."""
    ordered = sorted(set(names), key=_import_order)
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line
    return _exploded(f"from {module} import (", ordered, ")", 0)


def _import_order(name: str) -> tuple[int, str]:
    """Sort key: constants, then classes, then the rest."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1, name) if name[:1].isupper() else (2, name)


def call(
    head: str, arguments: Iterable[str], *, indent: int = 0, tail: str = ""
) -> str:
    """Format `head(arguments)tail`, or with other brackets if `head` ends in one.

    Args:
        head: text before the arguments, such as `loss = MyLoss` or `x = [`.
        arguments: each argument as source.
        indent: columns that the template has written before `head`.
        tail: text after the closing bracket.
    """
    closing = {"[": "]", "{": "}", "(": ")"}
    if head[-1:] not in closing:
        head += "("
    return _bracketed(head, list(arguments), closing[head[-1]] + tail, indent)


def signature(
    name: str,
    parameters: Iterable[str],
    *,
    returns: str = "None",
    indent: int = 0,
) -> str:
    """Format `def name(parameters) -> returns:`."""
    tail = f") -> {returns}:"
    return _bracketed(f"def {name}(", list(parameters), tail, indent)


def mapping(
    head: str, items: Mapping[str, str], *, indent: int = 0, tail: str = ""
) -> str:
    """Format `head{key: value, …}tail` with string keys and values given as source."""
    return _bracketed(
        f"{head}{{",
        [f"{string(key)}: {value}" for key, value in items.items()],
        "}" + tail,
        indent,
    )


def docstring(*paragraphs: str, indent: int = 0) -> str:
    """Format a wrapped docstring of these paragraphs; the first is the summary.

    Quotes and backslashes in a user's text are escaped.
    """
    room = WIDTH - indent
    margin = "\n" + " " * indent
    safe = [_inert(paragraph) for paragraph in paragraphs if paragraph.strip()]
    if len(safe) == 1 and len(safe[0]) + 6 <= room:
        return f'"""{safe[0]}"""'
    head = fill(safe[0], room, initial_indent='"""')
    blocks = [head, *(fill(paragraph, room) for paragraph in safe[1:])]
    lines = "\n\n".join(blocks).split("\n")
    body = lines[0] + "".join(margin + line if line else "\n" for line in lines[1:])
    return f'{body}{margin}"""'


def fill(text: str, width: int = WIDTH, *, initial_indent: str = "") -> str:
    """Wrap a paragraph at `width`; longer words have lines of their own."""
    return textwrap.fill(
        text,
        width,
        initial_indent=initial_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def hang(text: str, *, indent: int, taken: int, tail: int = 0) -> str:
    """Wrap a paragraph whose first line starts at column `taken`, others at `indent`.

    Args:
        tail: columns to leave free on the last line.
    """
    follows = "\0" * tail
    lines = textwrap.wrap(
        text + follows,
        WIDTH,
        initial_indent=" " * taken,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)[taken:].removesuffix(follows)


def comment(text: str, indent: int = 0) -> str:
    """Wrap a paragraph as comment lines."""
    lines = fill(" ".join(text.split()), WIDTH - indent - 2).split("\n")
    return ("\n" + " " * indent).join(f"# {line}" for line in lines)


def _inert(text: str) -> str:
    """Format text on one line, escaped for triple double quotes."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    # A quote at either end of the text, or before another quote, could end the string.
    return re.sub(r'^"|"$|"(?="")', r'\\"', plain)


def _bracketed(head: str, items: list[str], tail: str, indent: int) -> str:
    line = f"{head}{', '.join(items)}{tail}"
    if indent + len(line) <= WIDTH or not items:
        return line
    return _exploded(head, items, tail, indent)


def _exploded(head: str, items: Iterable[str], tail: str, indent: int) -> str:
    margin = " " * indent
    lines = [head, *(f"{margin}    {item}," for item in items), f"{margin}{tail}"]
    return "\n".join(lines)

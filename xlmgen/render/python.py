"""Python source as `ruff format` leaves it: on one line where it fits, else one each.

Templates print what depends on the length of a family's name through these, so that a
render is formatted whatever the name.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

WIDTH = 88


def literal(value: Any) -> str:
    """A Python literal for plain data, strings in double quotes."""
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
    """A string literal in double quotes, or in single ones where that escapes less."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = "".join(_escaped(char, quote) for char in text)
    return f"{quote}{body}{quote}"


def _escaped(char: str, quote: str) -> str:
    if char in ("\\", quote):
        return f"\\{char}"
    return char if char.isprintable() else repr(char)[1:-1]


def imports(module: str, names: Iterable[str]) -> str:
    """`from module import …`, the names sorted as ruff sorts them."""
    ordered = sorted(set(names), key=_import_order)
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line
    return _exploded(f"from {module} import (", ordered, ")", 0)


def _import_order(name: str) -> tuple[int, str]:
    """Constants first, then classes, then the rest."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1, name) if name[:1].isupper() else (2, name)


def call(
    head: str, arguments: Iterable[str], *, indent: int = 0, tail: str = ""
) -> str:
    """`head(arguments)tail`; also for brackets other than round, by `head`'s last one.

    Args:
        head: what stands before the arguments, such as `loss = MyLoss` or `x = [`.
        arguments: each argument as source.
        indent: columns that the template has already written before `head`.
        tail: what follows the closing bracket.
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
    """`def name(parameters) -> returns:`."""
    tail = f") -> {returns}:"
    return _bracketed(f"def {name}(", list(parameters), tail, indent)


def mapping(
    head: str, items: Mapping[str, str], *, indent: int = 0, tail: str = ""
) -> str:
    """`head{key: value, …}tail` with values given as source, keys as strings."""
    return _bracketed(
        f"{head}{{",
        [f"{string(key)}: {value}" for key, value in items.items()],
        "}" + tail,
        indent,
    )


def docstring(*paragraphs: str, indent: int = 0) -> str:
    """A docstring of these paragraphs, wrapped; the first is the summary.

    A text that does not come from us cannot end the string or start an escape.
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
    """A paragraph wrapped at `width`; words that do not fit stand alone."""
    return textwrap.fill(
        text,
        width,
        initial_indent=initial_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def hang(text: str, *, indent: int, taken: int, tail: int = 0) -> str:
    """A paragraph whose first line begins at column `taken`, the others at `indent`.

    Args:
        tail: columns that the last line leaves free for what follows it.
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
    """A paragraph as `#` lines."""
    lines = fill(" ".join(text.split()), WIDTH - indent - 2).split("\n")
    return ("\n" + " " * indent).join(f"# {line}" for line in lines)


def _inert(text: str) -> str:
    """Text on one line that is safe between triple double quotes."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    # A quote that opens or ends the text, or that another follows, could close it.
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

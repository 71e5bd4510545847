"""A YAML file as plain data with the position of each key and value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import getitem
from typing import Any, NamedTuple

from xlmgen.errors import shortened
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.messages import show

Path = tuple[str | int, ...]

BOM = "\ufeff"  # a byte order mark
LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as YAML defines them


class Span(NamedTuple):
    """A range of text: lines and columns from 1, `end_col` one past the last."""

    line: int
    col: int
    end_line: int
    end_col: int


def split_bom(text: str) -> tuple[str, str]:
    """Split a text into its byte order mark, if any, and the rest."""
    body = text.removeprefix(BOM)
    return text[: len(text) - len(body)], body


def dotted(path: Path) -> str:
    """Format a path: `('sizes', 'tiny', 'num_heads')` as `sizes.tiny.num_heads`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            word = part if part.isprintable() and len(part) <= 40 else show(part)
            text += f".{word}" if text else word
    return text


@dataclass(frozen=True)
class Document:
    """Content of a YAML file.

    Args:
        file: its name as the user gave it.
        text: its text, byte order mark included.
        data: the mapping in it; None if it cannot be read as a mapping.
        keys, values: positions of each key and each value, by path.
        problems: found while reading.
    """

    file: str
    text: str = ""
    data: dict[str, Any] | None = None
    keys: Mapping[Path, Span] = field(default_factory=dict)
    values: Mapping[Path, Span] = field(default_factory=dict)
    problems: tuple[Diagnostic, ...] = ()

    @cached_property
    def lines(self) -> list[str]:
        return LINE_BREAK.split(self.text.removeprefix(BOM))

    def span(self, path: Path, *, key: bool = False) -> Span:
        """Position to report for a path: its value if on one line, else its key.

        For a path that is not in the text (a missing key) this is the nearest parent's
        key, and at the top level the first key of the file.
        """
        value = self.values.get(path)
        if not key and value is not None and path and value.line == value.end_line:
            return value
        while path:
            if path in self.keys:
                return self.keys[path]
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return min(self.keys.values(), default=Span(1, 1, 1, 1))

    def diagnostic(
        self,
        code: str,
        path: Path,
        message: str,
        fix: str = "",
        *,
        key: bool = False,
        edit: str = "",
    ) -> Diagnostic:
        """Make a diagnostic at a path of this document; with `key`, at its key.

        Args:
            edit: replacement that fixes the problem; dropped if the marked text cannot
                simply be replaced.
        """
        span = self.span(path, key=key)
        where = dotted(path)
        found = diagnose(self.file, self.lines, span, code, where, message, fix)
        if edit and self._is_replaceable(path, key=key):
            return replace(found, edit=edit)
        return found

    def _is_replaceable(self, path: Path, *, key: bool) -> bool:
        """Whether replacing the text of a key or value changes this path alone.

        The text must equal the value, apart from quotes, be on one line, and be used by
        one path: an alias may refer to it from elsewhere.
        """
        span = (self.keys if key else self.values).get(path)
        if span is None or span.line != span.end_line or self._uses[span] > 1:
            return False
        word = path[-1] if key else reduce(getitem, path, self.data)  # type: ignore[arg-type]
        text = self.lines[span.line - 1][span.col - 1 : span.end_col - 1]
        return text in (word, f"'{word}'", f'"{word}"')

    @cached_property
    def _uses(self) -> Counter[Span]:
        """Number of paths per position; aliases make it several."""
        return Counter([*self.keys.values(), *self.values.values()])


def diagnose(
    file: str,
    lines: list[str],
    span: Span,
    code: str,
    path: str,
    message: str,
    fix: str = "",
) -> Diagnostic:
    """Make a diagnostic with the source line that it refers to."""
    excerpt = lines[span.line - 1] if span.line <= len(lines) else ""
    end_col = span.end_col if span.end_line == span.line else len(excerpt) + 1
    return Diagnostic(
        file,
        span.line,
        span.col,
        max(end_col, span.col + 1),
        code,
        path,
        shortened(message),
        shortened(fix),
        excerpt,
    )

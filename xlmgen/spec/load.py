"""Read YAML 1.2 safely; problems are reported with their position, not raised.

The text is read as a stream of parser events, so that depth, size and aliases are
limited before objects are built, and tags cannot construct objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from xlmgen.io.data_files import draft_hint
from xlmgen.io.files import is_plain
from xlmgen.io.merge import marked_lines
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import BOM, LINE_BREAK, Document, Path, Span, diagnose, dotted
from xlmgen.spec.messages import show, similar_path
from xlmgen.spec.scalars import Scalar, resolve

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 50_000  # values in the file, with those repeated by aliases
SURROGATE = re.compile("[\ud800-\udfff]")  # half a UTF-16 pair, invalid in UTF-8


def load_yaml(source: str | os.PathLike[str], text: str | None = None) -> Document:
    """Read a YAML file, or a `text` whose file is named `source`.

    Never raises for the file's content: problems are in `Document.problems`, and
    `Document.data` is None if the content is unusable.
    """
    name = os.fspath(source)
    if text is None:
        read = _read(name)
        if isinstance(read, Document):
            return read
        text = read
    return _Reader(name, text).document()


def _read(name: str) -> str | Document:
    """Read the file's text, or return a document with the reason for failure."""
    start = Span(1, 1, 1, 1)

    def failed(code: str, message: str, fix: str = "") -> Document:
        return Document(
            name, problems=(diagnose(name, [], start, code, "", message, fix),)
        )

    path = FilePath(name)
    try:
        if path.is_dir():
            fix = draft_hint(path) or "name a YAML file in it"
            return failed("XG001", "is a folder", fix)
        if path.exists() and not is_plain(path):
            return failed("XG001", "is not a regular file")
        if path.suffix not in (".txt", "") and (hint := draft_hint(path)):
            return failed("XG001", "is a data file, not YAML", hint)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return failed("XG001", "there is no such file", similar_path(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return failed("XG001", f"cannot be read ({reason})")
    if len(content) > MAX_BYTES:
        return failed("XG007", f"is larger than {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = LINE_BREAK.split(content[: error.start].decode("utf-8"))
        line, col = len(before), len(before[-1]) + 1
        start = Span(line, col, line, col + 1)
        byte = f"0x{content[error.start]:02x}"
        return failed(
            "XG002", f"the byte {byte} is not UTF-8", "save the file as UTF-8"
        )


class _Stop(Exception):
    """Raised to stop reading; the problem is already recorded."""


@dataclass(frozen=True)
class _Node:
    """A complete value: its data and the positions of it and of its parts."""

    data: Any
    span: Span
    keys: dict[Path, Span]  # relative to this value
    values: dict[Path, Span]
    size: int  # number of values in it, with itself and those repeated by aliases
    depth: int = 0  # levels below it, with those of aliases


class _Reader:
    """Builds a document from the parser events of one text."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.lines = LINE_BREAK.split(text.removeprefix(BOM))
        self.problems: list[Diagnostic] = []
        self.anchors: dict[str, _Node | None] = {}  # None while it is being read
        self.size = 0
        self.events: Iterator[Event] = iter(())

    def document(self) -> Document:
        root: _Node | None = None
        try:
            self._no_inner_mark()
            # Not libyaml's parser: it accepts other texts, and is not on all machines.
            self.events = yaml.parse(self.text, Loader=yaml.SafeLoader)
            root = self._root()
        except _Stop:
            pass
        except yaml.YAMLError as error:
            self._syntax(error)
        data = root.data if root is not None and isinstance(root.data, dict) else None
        if root is not None and data is None:
            self._note(
                "XG009",
                root.span,
                (),
                f"the file holds {_kind(root.data)}, not keys and values",
                "write lines such as 'name: my_family'",
            )
        return Document(
            self.file,
            self.text,
            data,
            root.keys if root else {},
            root.values if root else {},
            tuple(sorted(self.problems)),
        )

    def _root(self) -> _Node:
        root: _Node | None = None
        for event in self.events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self._stop(
                    "XG008",
                    _span(event),
                    "a second document starts here",
                    "keep one document per file",
                )
            if isinstance(event, NodeEvent):
                root = self._node(event, ())
        blank = root is None or (
            root.data is None and root.span.line == root.span.end_line == 1
        )
        if root is None or (blank and not self.text.strip()):
            self._stop("XG009", Span(1, 1, 1, 1), "the file is empty")
        return root

    def _node(self, event: NodeEvent, path: Path) -> _Node:
        self._bound_depth(len(path), _span(event))
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        self._count(1, _span(event))
        tag = getattr(event, "tag", None)
        if tag is not None:
            tag_span = self._first_word(_span(event))
            self._note(
                "XG006",
                tag_span,
                path,
                f"the tag {self._text(tag_span)} is not allowed",
                "remove it; a spec is plain data",
            )
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        before = self.size - 1
        node = self._content(event, path, before)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _content(self, event: NodeEvent, path: Path, before: int) -> _Node:
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, path, before)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(event, path, before)
        assert isinstance(event, ScalarEvent)
        span = _span(event)
        return _Node(self._scalar(event, path), span, {}, {(): span}, 1)

    def _mapping(self, event: MappingStartEvent, path: Path, before: int) -> _Node:
        data: dict[str, Any] = {}
        keys: dict[Path, Span] = {}
        values: dict[Path, Span] = {}
        depth = 0
        end: Event = event
        for head in self.events:
            if isinstance(head, CollectionEndEvent):
                end = head
                break
            key = self._key(head, path)
            value_event = next(self.events)
            assert isinstance(value_event, NodeEvent)
            value = self._node(value_event, (*path, "?" if key is None else key))
            depth = max(depth, value.depth + 1)
            if key is None:
                continue
            if key in data:
                first = keys[(key,)]
                self._note(
                    "XG004",
                    _span(head),
                    (*path, key),
                    f"the key is already written at {first.line}:{first.col}",
                    "keep one of the two",
                )
                continue
            data[key] = value.data
            keys[(key,)] = _span(head)
            keys.update(((key, *inner), span) for inner, span in value.keys.items())
            values.update(((key, *inner), span) for inner, span in value.values.items())
        span = _span(event, end)
        values[()] = span
        return _Node(data, span, keys, values, self.size - before, depth)

    def _sequence(self, event: SequenceStartEvent, path: Path, before: int) -> _Node:
        data: list[Any] = []
        keys: dict[Path, Span] = {}
        values: dict[Path, Span] = {}
        depth = 0
        end: Event = event
        for item in self.events:
            if isinstance(item, CollectionEndEvent):
                end = item
                break
            assert isinstance(item, NodeEvent)
            index = len(data)
            value = self._node(item, (*path, index))
            depth = max(depth, value.depth + 1)
            data.append(value.data)
            keys.update(((index, *inner), span) for inner, span in value.keys.items())
            values.update(
                ((index, *inner), span) for inner, span in value.values.items()
            )
        span = _span(event, end)
        values[()] = span
        return _Node(data, span, keys, values, self.size - before, depth)

    def _key(self, event: Event, path: Path) -> str | None:
        """Return the key as a string; record a problem and return None if it is not."""
        assert isinstance(event, NodeEvent)
        value = self._node(event, (*path, "?")).data
        if isinstance(event, ScalarEvent) and isinstance(value, str):
            return value
        plain = isinstance(event, ScalarEvent)
        what = f"the key {show(event.value)}" if plain else "this key"  # type: ignore[attr-defined]
        self._note(
            "XG005",
            _span(event),
            path,
            f"{what} is {_kind(value)}, not a name",
            f"write it in quotes: {show(event.value)}" if plain else "",  # type: ignore[attr-defined]
        )
        return None

    def _scalar(self, event: ScalarEvent, path: Path) -> Scalar:
        half = SURROGATE.search(event.value)
        if half:
            message = f"the character {half[0]!r} is not allowed"
            fix = "write the character itself, not its UTF-16 halves"
            self._note("XG003", _span(event), path, message, fix)
            return ""
        if event.style is not None:  # quoted or a block of text
            return str(event.value)
        try:
            return resolve(event.value)
        except ValueError as error:
            self._note("XG010", _span(event), path, str(error))
            return 0

    def _alias(self, event: AliasEvent, path: Path) -> _Node:
        name = str(event.anchor)
        if name not in self.anchors:
            self._stop(
                "XG003",
                _span(event),
                f"the alias *{name} has no anchor &{name} before it",
            )
        node = self.anchors[name]
        if node is None:
            self._stop("XG007", _span(event), f"the alias *{name} contains itself")
        self._bound_depth(len(path) + node.depth, _span(event))
        self._count(node.size, _span(event))
        return node

    def _bound_depth(self, depth: int, span: Span) -> None:
        if depth > MAX_DEPTH:
            self._stop("XG007", span, f"nested more than {MAX_DEPTH} levels deep")

    def _no_inner_mark(self) -> None:
        """Refuse a byte order mark inside the text.

        The parser counts no column for it, so that all later positions in its line
        would be wrong.
        """
        before, mark, _ = self.text.removeprefix(BOM).partition(BOM)
        if mark:
            lines = LINE_BREAK.split(before)
            line, col = len(lines), len(lines[-1]) + 1
            self._stop(
                "XG003",
                Span(line, col, line, col + 1),
                f"the character {BOM!r} is not allowed in YAML",
                "remove the byte order mark",
            )

    def _first_word(self, span: Span) -> Span:
        """Return the span up to its first blank, such as a tag before its value."""
        rest = self.lines[span.line - 1][span.col - 1 :]
        length = len(rest.split(maxsplit=1)[0]) if rest.strip() else 1
        return Span(span.line, span.col, span.line, span.col + length)

    def _text(self, span: Span) -> str:
        return self.lines[span.line - 1][span.col - 1 : span.end_col - 1]

    def _count(self, size: int, span: Span) -> None:
        self.size += size
        if self.size > MAX_VALUES:
            self._stop("XG007", span, f"holds more than {MAX_VALUES:,} values")

    def _syntax(self, error: yaml.YAMLError) -> None:
        if conflicts := marked_lines(self.text):
            for line in conflicts:
                span = Span(line, 1, line, len(self.lines[line - 1]) + 1)
                message = "unresolved merge conflict"
                fix = "keep the right version and delete the markers"
                self._note("XG003", span, (), message, fix)
            return
        mark = getattr(error, "problem_mark", None) or getattr(
            error, "context_mark", None
        )
        problem = getattr(error, "problem", None)
        if mark is not None:
            span = Span(mark.line + 1, mark.column + 1, mark.line + 1, mark.column + 2)
            message = str(problem)
            context, start = (
                getattr(error, name, None) for name in ("context", "context_mark")
            )
            if context and start is not None and start.line < mark.line:
                message += f" ({context} that starts at line {start.line + 1})"
            elif context:
                message += f" ({context})"
        else:  # a character that YAML does not allow
            position = getattr(error, "position", 0)
            before = LINE_BREAK.split(self.text[:position])
            span = Span(len(before), len(before[-1]) + 1, len(before), 0)
            character = self.text[position : position + 1]
            message = f"the character {character!r} is not allowed in YAML"
        fix = "indent with spaces" if r"'\t'" in message else ""
        self._note("XG003", span, (), message, fix)

    def _note(
        self, code: str, span: Span, path: Path, message: str, fix: str = ""
    ) -> None:
        self.problems.append(
            diagnose(self.file, self.lines, span, code, dotted(path), message, fix)
        )

    def _stop(self, code: str, span: Span, message: str, fix: str = "") -> NoReturn:
        self._note(code, span, (), message, fix)
        raise _Stop


def _span(event: Event, end: Event | None = None) -> Span:
    start, stop = event.start_mark, (end or event).end_mark
    assert start is not None  # the parser marks every event
    assert stop is not None
    return Span(start.line + 1, start.column + 1, stop.line + 1, stop.column + 1)


def _kind(value: Any) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "a mapping", type(None): "null"}
    return names[type(value)]

"""Corpus of a task: texts of its examples, generated, from files or from the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from xlmgen.data import cache, detokenize, hub, readers, row_filter, shares, text_files
from xlmgen.data.characters import refuse_surrogates
from xlmgen.data.digests import code_digest, file_digest
from xlmgen.data.row_filter import NotANumber, RowFilter, written
from xlmgen.data.text_files import ending, is_compressed
from xlmgen.errors import UserError
from xlmgen.io.files import require_plain
from xlmgen.spec import template
from xlmgen.spec.messages import show
from xlmgen.spec.template import Template
from xlmgen.tasks import corpora, draws, generators, own
from xlmgen.tasks.hook import Hook
from xlmgen.tasks.spec import SPLITS

DELIMITERS = (";", "\t", "|", ",")
"""Common delimiters of tables."""


@dataclass(frozen=True)
class Row:
    """An example before tokenisation.

    Args:
        split: the split that it belongs to.
        piece: index of the piece that it was read from.
        number: its line or row there.
        texts: one for each key of an example; None for a row that the filter drops.
    """

    split: str
    piece: int
    number: int
    texts: tuple[str, ...] | None


@dataclass(frozen=True)
class Piece:
    """A part of a source that is read sequentially, usually a file.

    Args:
        split: the split of its rows, before shares are cut from train.
        read: returns its rows.
        place: location of a row, such as `notes.csv:17`.
        size: approximate number of characters; 0 where it is unknown.
    """

    split: str
    read: Callable[[], Iterator[readers.Row]]
    place: Callable[[int], str]
    size: int = 0


class Corpus:
    """A task's source, as a stream that can be read any number of times.

    Args:
        source: the mapping under `source:`, defaults filled in.
        columns: the keys of an example.
        folder: base of relative paths.
        hook: the user's own function that generates examples, if any.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        columns: Sequence[str],
        folder: Path,
        hook: Hook | None = None,
    ) -> None:
        if "corpus" in source:
            source = corpora.as_files(source["corpus"])
        self.source = source
        self.hook = hook
        self.columns = tuple(columns)
        self.folder = folder
        self._filter = RowFilter(source.get("filter", ()))
        self._templates = {key: self._template(key) for key in self.columns}
        used = [name for made in self._templates.values() for name in made.columns]
        self._wanted = tuple(dict.fromkeys((*used, *self._filter.columns)))

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Settings, contents and code that the texts depend on."""
        source = self.source
        if "generator" in source:
            modules = generators.modules(source["generator"])
            return {"source": dict(source), "code": list(map(code_digest, modules))}
        if self.hook is not None:
            code = [self.hook.digest, code_digest(own), code_digest(draws)]
            return {"source": dict(source), "columns": self.columns, "code": code}
        settings = {k: v for k, v in source.items() if k not in ("files", "hub")}
        code = [
            code_digest(part)
            for part in (readers, text_files, hub, row_filter, template, detokenize)
        ]
        found = {"source": settings, "columns": self.columns, "code": code}
        if "hub" in source:
            return {**found, "hub": hub.fingerprint(source["hub"], self.folder)}
        contents = {
            split: [(ending(path), file_digest(path)) for path in paths]
            for split, paths in self._files.items()
        }
        return {**found, "files": contents}

    @cached_property
    def pieces(self) -> list[Piece]:
        """All pieces, in the order of the splits."""
        source = self.source
        if self.hook is not None:
            return self._generated(own.records(self.hook, source, self.columns))
        if "generator" in source:
            made = generators.module(source["generator"]).records(source)
            return self._generated(made)
        if "hub" in source and self._local is None:
            return [
                Piece(
                    split,
                    partial(hub.rows, source["hub"], self.folder, split),
                    f"{source['hub']['path']}, split {name}, row {{}}".format,
                )
                for split, name in source["hub"]["splits"].items()
            ]
        return [
            Piece(
                split,
                partial(
                    readers.read,
                    path,
                    self._reading(path),
                    source["columns"]["tokens"],
                    self._wanted,
                ),
                partial(_line, path),
                0 if is_compressed(path) else path.stat().st_size,
            )
            for split, paths in self._files.items()
            for path in paths
        ]

    def rows(self, piece: int = 0, skip: int = 0) -> Iterator[Row]:
        """Iterate over the rows, from a given one on.

        Args:
            piece: index of the first piece.
            skip: number of its rows to skip.

        Raises:
            UserError: a file cannot be read, or a column is missing.
        """
        for row in self._undivided(piece, skip):
            if row.split == "train" and row.texts is not None and self._bounds:
                yield Row(self._share(row.texts), row.piece, row.number, row.texts)
            else:
                yield row

    def place(self, piece: int, number: int) -> str:
        """Location of a row, for an error."""
        return self.pieces[piece].place(number)

    def refuse_empty(
        self, counts: Mapping[str, int], filtered: int = 0, unknown: int = 0
    ) -> None:
        """Raise the error for an empty split, if there is one.

        Args:
            counts: number of rows of each split.
            filtered: number of rows that the filter dropped.
            unknown: number of rows that the tokenizer cannot encode.
        """
        for split in SPLITS:
            if not counts.get(split):
                message = f"source: the {split} split has no examples"
                if filtered:
                    message += f"; the filter dropped {filtered:,} rows"
                if unknown:
                    message += f"; the tokenizer cannot encode {unknown:,} rows"
                raise UserError(
                    message,
                    "name files with more rows, or change `filter`, `unit` or `shares`",
                )

    def _undivided(self, first: int, skip: int) -> Iterator[Row]:
        """Rows before shares are cut from train; arguments as for `rows`."""
        limits = self.source.get("limit", {})
        taken = dict.fromkeys(SPLITS, 0)
        start = 0 if limits else first  # a limit counts all earlier rows
        for number in range(start, len(self.pieces)):
            piece = self.pieces[number]
            limit = limits.get(piece.split)
            if limit is not None and taken[piece.split] >= limit:
                continue
            for count, (line, cells) in enumerate(piece.read()):
                passed = number < first or (number == first and count < skip)
                if passed and not limits:
                    continue
                texts = self._texts(cells, piece, line)
                taken[piece.split] += texts is not None
                if not passed:
                    yield Row(piece.split, number, line, texts)
                if limit is not None and taken[piece.split] >= limit:
                    break

    def _texts(
        self, cells: Mapping[str, Any], piece: Piece, number: int
    ) -> tuple[str, ...] | None:
        if any(name not in cells for name in self._wanted):
            self._refuse_missing(cells, piece.place(number))
        try:
            if not self._filter.keeps(cells):
                return None
        except NotANumber as error:
            raise UserError(
                f"{piece.place(number)}: {error}, and source.filter needs a number",
                "fix the value, or filter it with `in` or `matches`",
            ) from None
        texts = {
            key: self._text(key, made, cells, piece, number)
            for key, made in self._templates.items()
        }
        if (hole := self.source.get("hole")) is not None:
            place = piece.place(number)
            texts["given"] = _flags(texts["tokens"], texts["given"], hole, place)
        return tuple(texts.values())

    def _text(
        self,
        key: str,
        made: Template,
        cells: Mapping[str, Any],
        piece: Piece,
        number: int,
    ) -> str:
        plain = key not in self.source.get("templates", {})
        for name in made.columns:
            value = cells[name]
            allowed = str if plain else str | int | float
            if not isinstance(value, allowed) or isinstance(value, bool):
                fix = "write the value as a text"
                if plain and isinstance(value, int | float):
                    fix += f', or set source.templates.{key}: "{{{name}}}"'
                raise UserError(
                    f"{piece.place(number)}: column '{name}' holds {show(value)}, "
                    f"not a text{'' if plain else ' or a number'}",
                    fix,
                )
        text = made.fill({name: written(cells[name]) for name in made.columns})
        if not text.isascii():
            refuse_surrogates(text, piece.place(number))
        style = self.source.get("detokenizer", "none")
        if style == "none" or key == "given":
            return text
        return detokenize.detokenize(text, style)

    def _refuse_missing(self, cells: Mapping[str, Any], place: str) -> None:
        listed = ", ".join(str(name) for name in cells)
        for key, made in self._templates.items():
            plain = key not in self.source.get("templates", {})
            for name in made.columns:
                if name not in cells:
                    fix = f"set source.columns.{key} to one of {listed}"
                    if not plain:
                        fix = f"in source.templates.{key}, name some of {listed}"
                    raise UserError(
                        f"{place}: there is no column '{name}'",
                        self._other_delimiter(list(cells)) or fix,
                    )
        for name in self._filter.columns:
            if name not in cells:
                raise UserError(
                    f"{place}: there is no column '{name}', which source.filter uses",
                    f"the columns are {listed}",
                )

    def _other_delimiter(self, names: Sequence[str]) -> str:
        """Fix for a table with one column whose name has another delimiter in it."""
        if len(names) == 1 and "files" in self.source:
            for mark in DELIMITERS:
                if mark in names[0]:
                    return (
                        f"the only column is {names[0]!r}: set source.delimiter to "
                        f"{json.dumps(mark)} if that separates the cells"
                    )
        return ""

    def _template(self, key: str) -> Template:
        if key in self.source.get("templates", {}):
            return Template.parse(self.source["templates"][key])
        return Template.column(self.source.get("columns", {}).get(key, key))

    # Shares

    def _share(self, texts: tuple[str, ...]) -> str:
        """Split of a row of train, by the hash of its texts."""
        key = shares.key(self.source["seed"], texts)
        return next((split for split, end in self._bounds if key < end), "train")

    @cached_property
    def _bounds(self) -> shares.Bounds:
        """Upper bounds of the shares, from one pass over train; cached."""
        given = {piece.split for piece in self.pieces}
        missing = [split for split in SPLITS[1:] if split not in given]
        if not missing:
            return []
        asked = {split: self.source["shares"][split] for split in missing}
        inputs = {"what": "shares", "texts": self.fingerprint, "shares": asked}

        def keys() -> Iterator[int]:
            train = [i for i, piece in enumerate(self.pieces) if piece.split == "train"]
            for row in self._undivided(train[0], 0):
                if row.piece > train[-1]:
                    break
                if row.texts is not None:
                    yield shares.key(self.source["seed"], row.texts)

        def find(folder: Path) -> None:
            ends = shares.bounds(keys(), asked)
            (folder / "bounds.json").write_text(json.dumps(ends), encoding="utf-8")

        found = (cache.entry(inputs, find) / "bounds.json").read_text(encoding="utf-8")
        return [(split, end) for split, end in json.loads(found)]

    # Kinds of sources

    def _generated(
        self, splits: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> list[Piece]:
        def read(split: str) -> Iterator[readers.Row]:
            columns = splits[split]
            names = [self._templates[key].columns[0] for key in self.columns]
            listed = zip(*(columns[key] for key in self.columns), strict=True)
            for number, texts in enumerate(listed):
                yield number, dict(zip(names, texts, strict=True))

        return [
            Piece(split, partial(read, split), f"row {{}} of the {split} split".format)
            for split in SPLITS
        ]

    @cached_property
    def _local(self) -> hub.LocalFiles | None:
        """Files of a local folder in the format of the Hub."""
        return hub.local_files(self.source["hub"], self.folder)

    @cached_property
    def _files(self) -> Mapping[str, list[Path]]:
        if "hub" in self.source and self._local is not None:
            return self._local.files
        files = self.source["files"]
        found = {
            split: readers.expand(files[split], self.folder, split)
            for split in SPLITS
            if split in files
        }
        for split, paths in found.items():
            for path in paths:
                require_plain(path, f"source.files.{split} must name files of text")
        return found

    def _reading(self, path: Path) -> readers.Reading:
        """Settings of the reader of a file; refuses files without one."""
        source = self.source
        if "hub" in source and self._local is not None:
            how = self._local.how
        else:
            how = readers.Reading(source["format"], source["unit"], source["delimiter"])
        form = how.form_of(path)
        if form == "txt" and self.columns != ("tokens",):
            raise UserError(
                f"{path}: .txt files are for the layout lm only",
                f"give the columns {', '.join(self._wanted)} in a .jsonl or .csv file",
            )
        if form is None:
            raise UserError(
                f"{path}: the format of *{path.suffix} files is unknown",
                f"set source.format to txt, {', '.join(readers.TABLES)}",
            )
        return how


def _line(path: Path, number: int) -> str:
    return f"{path}:{number}"


def _flags(sequence: str, given: str, hole: str, place: str) -> str:
    """Flags 0 for the holes and 1 for the given characters of a sequence."""
    if len(sequence) != len(given) or any(
        shown not in (character, hole)
        for character, shown in zip(sequence, given, strict=True)
    ):
        raise UserError(
            f"{place}: {show(given)} is not {show(sequence)} with {hole!r} for holes",
            "repeat the sequence, with the hole in place of each character to predict",
        )
    return "".join("0" if shown == hole else "1" for shown in given)

"""Draft of a task from a data file: layout, columns, tokenizer and lengths."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from xlmgen.data.columns import Column, Parts, choose, columns
from xlmgen.data.head import Head, read_head
from xlmgen.errors import UserError
from xlmgen.io.files import require_folder, without_parents
from xlmgen.spec.task_checks import USUAL

LONGEST_NAME = 64
FEW_ROWS, MANY_ROWS = 200, 20  # for a share of 5 %; for a character to be in train
WORDS, REPEATED = 256, 10  # a closed vocabulary: different words, and uses of each
CHARACTERS = 128  # different characters of a character-level task
PROSE_WORDS, PROSE_SIZE = 5, 100_000  # words per text, and characters for subwords
SUBWORDS = 4096
TRAINED_ON = 2_000_000  # characters on which subwords are tried
PACKED_LENGTH = 256
EXACT_UP_TO = 512  # tokens; a longer maximum is that of 99 % of the rows
SPARE = 1.25  # factor on the lengths of rows that were not all read
SPECIAL = {"prompt": 1, "answer": 1, "length": 2}
"""Special tokens that each maximum length includes: BOS, EOS, or both."""
RANGE = re.compile(r"0|[1-9][0-9]{0,3}")


@dataclass(frozen=True)
class Lengths:
    """Lengths in tokens of one part of the examples.

    Args:
        middle: the median, without special tokens.
        longest: the maximum, without special tokens.
        limit: the drafted maximum, with special tokens.
        above: number of rows above the limit.
    """

    middle: int
    longest: int
    limit: int
    above: int


@dataclass(frozen=True)
class Draft:
    """A task for a data file; see `draft`.

    Args:
        name: of the task.
        file: path of the data file from the folder of the task.
        head: the rows that were read.
        found: all columns of the file.
        parts: the chosen ones.
        tokenizer: the mapping under `tokenizer:`.
        num_tokens: number of tokens in every row, by the keys of `max_length`.
    """

    name: str
    file: str
    head: Head
    found: dict[str, Column]
    parts: Parts
    tokenizer: dict[str, Any]
    num_tokens: dict[str, list[int]]

    @property
    def packed(self) -> bool:
        """Whether texts are joined and cut into rows."""
        texts = self.parts.columns.get("tokens")
        return self.parts.layout == "lm" and texts is not None and is_prose(texts.texts)

    @property
    def sampled(self) -> bool:
        """Whether other rows may be longer, or have more tokens."""
        return not self.head.complete or self.tokenizer["kind"] == "bpe"

    @cached_property
    def lengths(self) -> dict[str, Lengths]:
        """Lengths by the keys of `max_length`."""
        if self.packed:
            counts = self.num_tokens["length"]
            middle, longest = round(median(counts)), max(counts)
            return {"length": Lengths(middle, longest, PACKED_LENGTH, 0)}
        return {
            key: _lengths(counts, SPECIAL[key], self.sampled)
            for key, counts in self.num_tokens.items()
        }

    @property
    def drops(self) -> bool:
        """Whether rows above the maximum length are dropped."""
        above = any(lengths.above for lengths in self.lengths.values())
        return not self.packed and (self.sampled or above)

    @cached_property
    def rare(self) -> str:
        """A character that may be in other splits only; empty if there is none."""
        if self.tokenizer["kind"] != "character":
            return ""
        counts: Counter[str] = Counter()
        for row in set(self._rows):
            counts.update(set("".join(row)))
        character, count = min(counts.items(), key=lambda item: item[1])
        return character if count < MANY_ROWS or not self.head.complete else ""

    @property
    def share(self) -> float:
        """Share of the rows for each of validation and test."""
        return 0.1 if len(set(self._rows)) < FEW_ROWS else 0.05

    @property
    def columns(self) -> dict[str, str]:
        """Columns with other names than the usual ones, by the keys of an example."""
        return {
            key: column.name
            for key, column in self.parts.columns.items()
            if column.plain and column.name != USUAL[key]
        }

    @property
    def templates(self) -> dict[str, str]:
        """Templates of columns with numbers, by the keys of an example."""
        return {
            key: "{" + column.name + "}"
            for key, column in self.parts.columns.items()
            if not column.plain
        }

    @property
    def others(self) -> list[str]:
        """Names of the columns that are not used."""
        used = {column.name for column in self.parts.columns.values()}
        return [name for name in self.found if name not in used]

    @property
    def num_words(self) -> int:
        """Number of different words."""
        return len({w for row in self._rows for text in row for w in text.split()})

    @property
    def characters(self) -> int:
        """Number of different characters."""
        return len({c for row in self._rows for text in row for c in text})

    @property
    def _rows(self) -> list[tuple[str, ...]]:
        return list(
            zip(*(part.texts for part in self.parts.columns.values()), strict=True)
        )


def draft(path: Path, out: Path | None) -> tuple[Path, Draft]:
    """Draft a task for a data file.

    Args:
        path: the file.
        out: the task's YAML file; None names it after the data, in the current folder.

    Returns:
        The task's YAML file, and the draft.

    Raises:
        UserError: the file cannot be read, or has too few rows or no usable column.
    """
    head = read_head(path)
    found = columns(head)
    parts = choose(found)
    rows = set(zip(*(part.texts for part in parts.columns.values()), strict=True))
    if len(rows) < 3:
        raise UserError(
            f"{path} has {len(rows)} different {'rows' if len(rows) > 1 else 'row'}, "
            "and a task needs one for each of train, validation and test",
            "add rows; a text file has one on every line",
        )
    name = _name(path if out is None else out)
    out = Path(f"{name}.yaml") if out is None else out
    require_folder(out.absolute().parent)
    texts = {key: part.texts for key, part in parts.columns.items() if key != "given"}
    tokenizer = _tokenizer(parts, [text for part in texts.values() for text in part])
    keys = {"prompt": "prompt", "target": "answer", "tokens": "length"}
    num_tokens = {
        keys[key]: _count(tokenizer, part, list(texts.values()))
        for key, part in texts.items()
    }
    file = _relative(path, out.absolute().parent)
    return out, Draft(name, file, head, found, parts, tokenizer, num_tokens)


def is_prose(texts: Sequence[str]) -> bool:
    """Whether texts consist of words, several in each."""
    return sum(len(text.split()) for text in texts) >= PROSE_WORDS * len(texts)


def _name(path: Path) -> str:
    """Name of a task from the name of a file."""
    stem = path.name.split(".")[0] or path.stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).lstrip("_-")[:LONGEST_NAME]
    return name or "my_task"


def _relative(path: Path, folder: Path) -> str:
    """Path of the data file as the task writes it."""
    try:
        written = Path(os.path.relpath(without_parents(path.absolute()), folder))
    except ValueError:  # another drive of Windows
        return path.absolute().as_posix()
    shown = written.as_posix()
    return f"./{shown}" if shown.startswith("~") else shown


def _tokenizer(parts: Parts, texts: Sequence[str]) -> dict[str, Any]:
    """Choose a tokenizer for the texts of all parts.

    Words of a small closed set are a vocabulary; texts of few different characters are
    characters; prose is subwords; all else is bytes, which encode any text.
    """
    size = sum(map(len, texts))
    by_character = parts.layout == "infill"
    words: Counter[str] = Counter(word for text in texts for word in text.split())
    if not by_character and _is_closed(words, texts):
        if all(RANGE.fullmatch(word) for word in words):
            return {"kind": "vocabulary", "range": 1 + max(map(int, words))}
        return {"kind": "vocabulary", "tokens": sorted(words)}
    if is_prose(texts) and size >= PROSE_SIZE and not by_character:
        return {"kind": "bpe", "size": SUBWORDS}
    if by_character or len({c for text in texts for c in text}) <= CHARACTERS:
        return {"kind": "character"}
    return {"kind": "byte"}


def _is_closed(words: Counter[str], texts: Sequence[str]) -> bool:
    """Whether the same few words, separated by one space, form all texts."""
    from xlmgen.runtime.special_tokens import SPECIAL_TOKENS

    several = words.total() >= 2 * len(texts)
    repeated = words.total() >= REPEATED * len(words)
    return (
        several
        and repeated
        and 0 < len(words) <= WORDS
        and not words.keys() & set(SPECIAL_TOKENS)
        and all(" ".join(text.split()) == text for text in texts)
    )


def _count(
    tokenizer: dict[str, Any], texts: Sequence[str], trained_on: Sequence[Sequence[str]]
) -> list[int]:
    """Count the tokens of every text."""
    match tokenizer["kind"]:
        case "vocabulary":
            return [len(text.split()) for text in texts]
        case "byte":
            return [len(text.encode(errors="replace")) for text in texts]
        case "bpe":
            from xlmgen.data.tokenizer_kinds import bpe

            made = bpe(_beginning(trained_on), tokenizer["size"])
            return [len(made.encode(text)) for text in texts]
    return list(map(len, texts))


def _beginning(parts: Sequence[Sequence[str]]) -> list[str]:
    """The first texts of all parts, of about `TRAINED_ON` characters."""
    taken: list[str] = []
    size = 0
    for row in zip(*parts, strict=True):
        taken += row
        size += sum(map(len, row))
        if size > TRAINED_ON:
            break
    return taken


def _lengths(counts: Sequence[int], special: int, sampled: bool) -> Lengths:
    """Lengths of a part and a maximum for them."""
    ordered = sorted(counts)
    longest = ordered[-1]
    most = longest
    if longest > EXACT_UP_TO:
        most = ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)))]
    if sampled:
        most = 8 * math.ceil(SPARE * most / 8)
    limit = max(most + special, 3)
    above = sum(count + special > limit for count in counts)
    return Lengths(round(median(ordered)), longest, limit, above)

"""Columns of a data file: which can be parts of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from xlmgen.data.characters import refuse_surrogates
from xlmgen.data.head import Head
from xlmgen.data.row_filter import written
from xlmgen.errors import UserError
from xlmgen.spec.messages import show

PROMPTS = (
    *("prompt", "question", "instruction", "input", "source", "src", "query"),
    *("problem", "puzzle", "context"),
)
TARGETS = (
    *("target", "answer", "completion", "response", "output", "tgt", "solution"),
    *("label", "summary"),
)
TEXTS = ("text", "content", "document", "sentence", "sequence", "smiles", "story")
NUMBERS = ("", "id", "idx", "index", "key", "row")
FLAGS = ("given", "mask")
"""Usual names of prompts, answers, texts, row numbers and flags, in lower case."""


@dataclass(frozen=True)
class Column:
    """A column of a data file.

    Args:
        name: its name.
        texts: the value of every row, as written in an example.
        plain: whether all values are strings; otherwise a template is needed.
        problem: the first reason why the column cannot be part of an example, with its
            place; empty if there is none.
    """

    name: str
    texts: tuple[str, ...] = ()
    plain: bool = True
    problem: str = ""


@dataclass(frozen=True)
class Parts:
    """Columns of the parts of an example.

    Args:
        layout: `lm`, `seq2seq` or `infill`.
        columns: by the keys of an example.
        hole: the character for holes in `given`, if that is a sequence with holes.
    """

    layout: str
    columns: Mapping[str, Column]
    hole: str | None = None


def columns(head: Head) -> dict[str, Column]:
    """Describe all columns of the rows."""
    return {name: _column(head, name) for name in head.names}


def _column(head: Head, name: str) -> Column:
    texts, plain = [], True
    for line, cells in head.rows:
        value = cells.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            there = show(value) if name in cells else "nothing"
            problem = (
                f"{head.path}:{line}: column {show(name)} holds {there}, not a text or "
                "a number"
            )
            return Column(name, problem=problem)
        plain = plain and isinstance(value, str)
        if isinstance(value, str) and not value.isascii():
            refuse_surrogates(value, f"{head.path}:{line}")
        texts.append(written(value))
    problem = ""
    if not plain and set(name) & set("{}!:"):
        problem = f"{head.path}: column {show(name)} of numbers has one of {{}}!:"
    return Column(name, tuple(texts), plain, problem)


def choose(found: Mapping[str, Column]) -> Parts:
    """Choose the layout and the columns of its parts.

    A sequence and the same with holes is `infill`; columns with the usual names of a
    prompt and an answer, or the only two, are `seq2seq`; one column is `lm`.

    Raises:
        UserError: a needed column has a value that is neither a text nor a number.
    """
    usable = [column for column in found.values() if not column.problem]
    if not usable:
        problem = next(iter(found.values())).problem
        raise UserError(problem, "write a text in every row")
    for first, second in combinations(usable[:8], 2):
        for sequence, given in ((first, second), (second, first)):
            if parts := _infill(sequence, given):
                return parts
    prompt, target = _named(found, PROMPTS), _named(found, TARGETS)
    if prompt and target:
        for column in (prompt, target):
            if column.problem:
                raise UserError(column.problem, "write a text in every row")
        return Parts("seq2seq", {"prompt": prompt, "target": target})
    texts = [column for column in usable if column.name.lower() not in NUMBERS]
    named = _named({column.name: column for column in usable}, TEXTS)
    if named is None and len(texts) == 2:
        return Parts("seq2seq", dict(zip(("prompt", "target"), texts, strict=True)))
    longest = max(texts or usable, key=lambda column: sum(map(len, column.texts)))
    return Parts("lm", {"tokens": named or longest})


def _named(found: Mapping[str, Column], names: Sequence[str]) -> Column | None:
    lower = {name.lower(): column for name, column in reversed(list(found.items()))}
    return next((lower[name] for name in names if name in lower), None)


def _infill(sequence: Column, given: Column) -> Parts | None:
    """Parts of `infill`, if one column shows the other with holes or flags its tokens.

    Flags have a usual name, because answers may be texts of 0 and 1, too.
    """
    if not (sequence.plain and given.plain):
        return None
    holes: set[str] = set()
    for whole, shown in zip(sequence.texts, given.texts, strict=True):
        if len(whole) != len(shown) or len(whole) < 2:
            return None
        pairs = zip(whole, shown, strict=True)
        holes |= {there for character, there in pairs if there != character}
    parts = {"tokens": sequence, "given": given}
    if len(holes) == 1 and not any(holes & set(text) for text in sequence.texts):
        return Parts("infill", parts, holes.pop())
    if given.name.lower() in FLAGS and set().union(*given.texts) == {"0", "1"}:
        return Parts("infill", parts)
    return None

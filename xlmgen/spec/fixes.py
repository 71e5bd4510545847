"""Mending what is surely meant: in the text itself, so that comments and order stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import LINE_BREAK, Document, split_bom
from xlmgen.spec.load import load_yaml
from xlmgen.spec.modeline import LINE, modeline, project_schema
from xlmgen.spec.validate import file_kind

# A key or value as it stands in the text: no alias, tag or escape.
WORD = re.compile(r"(?P<quote>[\"']?)(?P<word>[\w -]+)(?P=quote)")
ROUNDS = 10  # a mended `kind` shows what is wrong inside its block


@dataclass(frozen=True)
class Fix:
    """One change of a file's text.

    Args:
        line: where it was, counted from 1.
        text: what was done, in words.
    """

    file: str
    line: int
    text: str


def mend(
    document: Document, validate: Callable[[Document], Iterable[Diagnostic]]
) -> tuple[Document, list[Fix]]:
    """A document with its sure mistakes mended, as text and data.

    A key or a value of a list of allowed ones is mended where only one can be meant.

    Args:
        document: what was read from a file.
        validate: gives the problems of a document.
    """
    done: list[Fix] = []
    for _ in range(ROUNDS):
        fixes, text = _round(document, validate(document))
        mended = load_yaml(document.file, text)
        if not fixes or mended.data is None:
            break
        document = mended
        done += fixes
    return document, done


def add_modeline(document: Document, file: Path) -> tuple[Document, list[Fix]]:
    """The document with the line that gives an editor its schema.

    It is added where the file has none, and the project holds the schemas: in a folder
    `schemas` beside the file or above it.
    """
    kind = file_kind(document)
    schema = None if kind is None else project_schema(file, kind)
    if schema is None or LINE.search(document.text):
        return document, []
    bom, body = split_bom(document.text)
    end = "\r\n" if "\r\n" in body else "\n"
    line = modeline(schema)
    text = f"{bom}{line}{end}{body}"
    fix = Fix(document.file, 1, f"added the line '{line}'")
    return load_yaml(document.file, text), [fix]


def _round(document: Document, problems: Iterable[Diagnostic]) -> tuple[list[Fix], str]:
    """Every edit that the problems carry, the last place first."""
    bom, body = split_bom(document.text)
    starts = [0, *(found.end() for found in LINE_BREAK.finditer(body))]
    fixes, taken = [], len(body)
    for problem in sorted(problems, reverse=True):
        if not problem.edit or problem.line > len(starts):
            continue
        start = starts[problem.line - 1] + problem.col - 1
        stop = starts[problem.line - 1] + problem.end_col - 1
        word = WORD.fullmatch(body[start:stop])
        if word is None or stop > taken:
            continue
        quote = word["quote"]
        body = f"{body[:start]}{quote}{problem.edit}{quote}{body[stop:]}"
        taken = start
        outside = problem.path.rpartition(".")[0]
        place = problem.path if problem.code == "XG104" else outside
        said = f"'{word['word']}' → '{problem.edit}'"
        text = f"{place}: {said}" if place else said
        fixes.append(Fix(document.file, problem.line, text))
    return fixes[::-1], bom + body

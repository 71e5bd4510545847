"""Fix unambiguous mistakes in the text of a spec, keeping comments and order."""

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

# A key or value in the text, without alias, tag or escape.
WORD = re.compile(r"(?P<quote>[\"']?)(?P<word>[\w -]+)(?P=quote)")
ROUNDS = 10  # a fixed `kind` reveals the problems inside its component


@dataclass(frozen=True)
class Fix:
    """A change of a file's text.

    Args:
        line: of the change, from 1.
        text: description of the change.
    """

    file: str
    line: int
    text: str


def fix_document(
    document: Document, validate: Callable[[Document], Iterable[Diagnostic]]
) -> tuple[Document, list[Fix]]:
    """Fix the unambiguous mistakes of a document.

    A key or value from a list of allowed ones is fixed if there is one candidate.

    Args:
        document: as read from a file.
        validate: returns the problems of a document.
    """
    done: list[Fix] = []
    for _ in range(ROUNDS):
        fixes, text = _round(document, validate(document))
        fixed = load_yaml(document.file, text)
        if not fixes or fixed.data is None:
            break
        document = fixed
        done += fixes
    return document, done


def add_modeline(document: Document, file: Path) -> tuple[Document, list[Fix]]:
    """Add the line that names the schema for editors.

    It is added if the file has none and the project has the schemas in a folder
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
    """Apply the edits of the problems, from the end of the text to its beginning."""
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

"""Output formats of diagnostics: text, json, github and sarif."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from xlmgen.spec.diagnostics import CODES, Diagnostic
from xlmgen.terminal.escape import json_text, terminal, workflow_command
from xlmgen.terminal.wrap import columns
from xlmgen.version import __version__

WIDEST = 100  # characters of a source line that are shown


def text(problems: Sequence[Diagnostic]) -> str:
    """Format each problem as place, code and message, then the line with carets."""
    return "\n".join(_paragraph(problem) for problem in problems)


def heading(problem: Diagnostic) -> str:
    """`file:line:col  code  message`."""
    place = f"{problem.file}:{problem.line}:{problem.col}"
    return terminal(f"{place}  {problem.code}  {problem.text}")


def source(problem: Diagnostic) -> tuple[str, str] | None:
    """Return the source line with its number and the carets below it, or None."""
    if not problem.excerpt.strip():
        return None
    first = max(0, problem.col - WIDEST // 2) if len(problem.excerpt) > WIDEST else 0
    line = "".join(c if c.isprintable() else " " for c in problem.excerpt)
    shown = line[first : first + WIDEST]
    start, stop = problem.col - 1 - first, min(problem.end_col - 1 - first, len(shown))
    marks = " " * columns(shown[:start]) + "^" * max(1, columns(shown[start:stop]))
    number = f"{problem.line:>3}"
    return terminal(f"{number} | {shown}"), f"{' ' * len(number)} | {marks}"


def as_json(problems: Sequence[Diagnostic]) -> str:
    """Format diagnostics as a JSON list of objects."""
    rows = [asdict(p) | {"severity": p.severity} for p in problems]
    for row in rows:
        del row["excerpt"], row["edit"]
    return json_text(json.dumps(rows, indent=2))


def github(problems: Sequence[Diagnostic]) -> str:
    """Format diagnostics as GitHub workflow commands, which annotate the lines."""
    return "\n".join(annotation(problem) for problem in problems)


def sarif(problems: Sequence[Diagnostic]) -> str:
    """Format diagnostics as a SARIF 2.1.0 log, for code scanning."""
    used = sorted({problem.code for problem in problems})
    rules = [
        {"id": code, "shortDescription": {"text": CODES[code].meaning}} for code in used
    ]
    log = {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "xlmgen",
                        "version": __version__,
                        "rules": rules,
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem) for problem in problems],
            }
        ],
    }
    return json_text(json.dumps(log, indent=2))


FORMATS: dict[str, Callable[[Sequence[Diagnostic]], str]] = {
    "text": text,
    "json": as_json,
    "github": github,
    "sarif": sarif,
}


def _paragraph(problem: Diagnostic) -> str:
    return "\n".join([heading(problem), *(source(problem) or ())])


def annotation(problem: Diagnostic) -> str:
    """Format a problem as a GitHub workflow command."""
    properties = {
        "file": Path(problem.file).as_posix(),
        "line": problem.line,
        "col": problem.col,
        "endColumn": problem.end_col,
        "title": problem.code,
    }
    level = "notice" if problem.severity == "note" else problem.severity
    return workflow_command(level, properties, [problem.text])


def _result(problem: Diagnostic) -> dict[str, Any]:
    path = Path(problem.file)
    uri = path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
    region = {
        "startLine": problem.line,
        "startColumn": problem.col,
        "endColumn": problem.end_col,
    }
    place = {"artifactLocation": {"uri": uri}, "region": region}
    return {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": problem.text},
        "locations": [{"physicalLocation": place}],
    }

"""Diagnostics: problems in files, with place, message and fix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from xlmgen.errors import UserError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Code:
    """Meaning of a code in one line, and its severity.

    Warnings fail a strict check only; notes are informational and never fail one.
    """

    meaning: str
    severity: Severity = "error"


CODES: dict[str, Code] = {
    "XG001": Code("the file cannot be read"),
    "XG002": Code("the file is not valid UTF-8"),
    "XG003": Code("the text is not valid YAML"),
    "XG004": Code("a key is written twice in one mapping"),
    "XG005": Code("a key is not a plain string"),
    "XG006": Code("a YAML tag is used; specs are plain data"),
    "XG007": Code("the file is too large or too deep, or has too many problems"),
    "XG008": Code("the file holds more than one YAML document"),
    "XG009": Code("the file is empty, or not a mapping of keys to values"),
    "XG010": Code("a number is not finite or does not fit in 64 bits"),
    "XG100": Code("the 'spec:' line names another format or version"),
    "XG101": Code("a key is unknown"),
    "XG102": Code("a required key is missing"),
    "XG103": Code("a value has the wrong type"),
    "XG104": Code("a value is not one of those allowed"),
    "XG105": Code("a number, length or count is out of range"),
    "XG106": Code("a string does not have the required form"),
    "XG107": Code("a family's name cannot be the name of a Python package"),
    "XG108": Code("an option conflicts with another option of the same component"),
    "XG109": Code("the numbers of a size contradict each other"),
    "XG110": Code("a family's name and the name of its folder differ"),
    "XG201": Code(
        "a component needs something that no component of the family provides"
    ),
    "XG202": Code("an experiment does not fit its family or task"),
    "XG301": Code("a rendered file is older than its spec or template"),
    "XG302": Code("a rendered file was edited", "warning"),
    "XG303": Code("a rendered file is missing"),
    "XG304": Code("a file in the folder is not rendered from the spec", "warning"),
    "XG305": Code("family.lock cannot be read"),
    "XG306": Code("a rendered file has unresolved merge conflicts"),
    "XG307": Code("writing the render was interrupted"),
    "XG401": Code("the schema of a project's own kind is invalid"),
    "XG402": Code("the template of a project's own kind is missing or fails"),
    "XG403": Code("a project's own kind has the name of a built-in one"),
    "XG404": Code("a component uses a kind of the project's own", "note"),
    "XG405": Code("a task runs a Python function of the project", "note"),
    "XG406": Code("the Python module that a task names does not exist", "warning"),
    "XG407": Code("no suite proves the likelihood that a project's own loss gives"),
}


@dataclass(frozen=True, order=True)
class Diagnostic:
    """A problem in a file. Diagnostics sort by place.

    Args:
        file: the file as the user named it.
        line, col: start of the problem, from 1, in characters.
        end_col: one past its last character on that line.
        code: a key of `CODES`.
        path: the place in the data, such as `loss.weight`; empty for the file.
        message: the problem, with the value and the allowed ones.
        fix: the most likely fix; may be empty.
        excerpt: the source line; may be empty.
        edit: the replacement for the marked text, if there is only one candidate.
    """

    file: str
    line: int
    col: int
    end_col: int
    code: str
    path: str = ""
    message: str = ""
    fix: str = ""
    excerpt: str = field(default="", compare=False, repr=False)
    edit: str = field(default="", compare=False, repr=False)

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    @property
    def text(self) -> str:
        """Path, message and fix in one line."""
        place = f"{self.path}: " if self.path else ""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{place}{self.message}{fix}"


class SpecError(UserError):
    """Raised if a valid spec is needed and the file has problems.

    The command line prints all `diagnostics`; the exception's message is one line.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = sorted(diagnostics)
        first = self.diagnostics[0]
        more = len(self.diagnostics) - 1
        super().__init__(
            f"{first.file}:{first.line}:{first.col}: {first.code} {first.text}"
            + (f" (and {more} more)" if more else ""),
            exit_code=1,
        )


def errors(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the errors among diagnostics, sorted."""
    return sorted(d for d in diagnostics if d.severity == "error")

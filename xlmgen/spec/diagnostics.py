"""A problem in a file: where it is, what it is, what would mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from xlmgen.errors import UserError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Code:
    """What a code stands for, in one line, and whether it fails a check.

    A warning fails a strict check; a note, which is no problem, fails none.
    """

    meaning: str
    severity: Severity = "error"


CODES: dict[str, Code] = {
    "XG001": Code("the file cannot be read"),
    "XG002": Code("the file is not UTF-8 text"),
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
    "XG106": Code("a text does not have the required form"),
    "XG107": Code("a family's name cannot be the name of a Python package"),
    "XG108": Code("an option does not go with another option of the same block"),
    "XG109": Code("the numbers of a size do not fit together"),
    "XG110": Code("a family's name and the name of its folder differ"),
    "XG201": Code("a block needs something that no block of the family provides"),
    "XG202": Code("an experiment does not fit the family or task that it names"),
    "XG301": Code("a rendered file is older than its spec or template"),
    "XG302": Code("a rendered file was edited", "warning"),
    "XG303": Code("a rendered file is missing"),
    "XG304": Code("a file in the folder is not rendered from the spec", "warning"),
    "XG305": Code("family.lock cannot be read"),
    "XG306": Code("a rendered file has conflicts that are not resolved"),
    "XG307": Code("a write of the render was cut short"),
    "XG401": Code("the schema of a project's own kind cannot be used"),
    "XG402": Code("the template of a project's own kind is missing or fails"),
    "XG403": Code("a project's own kind has the name of one that ships"),
    "XG404": Code("a block is of a kind of the project's own", "note"),
    "XG405": Code("a task runs a Python function of the project's own", "note"),
    "XG406": Code("the Python module that a task names is not there", "warning"),
}


@dataclass(frozen=True, order=True)
class Diagnostic:
    """One problem. Lines and columns count from 1, in characters; sorted by place.

    Args:
        file: the file as the user named it.
        line, col: where the problem starts; `end_col` is one past its last character
            on that line.
        code: a key of `CODES`.
        path: the place in the data, such as `loss.weight`; empty for a whole file.
        message: what is wrong, with the value and what is allowed.
        fix: what would most likely mend it, or nothing.
        excerpt: the source line, for showing; empty where there is none.
        edit: the word to write in its place, where only one can be meant.
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
        """Path, message and fix as one sentence."""
        place = f"{self.path}: " if self.path else ""
        fix = f"; {self.fix}" if self.fix else ""
        return f"{place}{self.message}{fix}"


class SpecError(UserError):
    """Raised where a checked spec is needed and the file has problems.

    The command line prints `diagnostics` in full; as an exception it is one line.
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
    """The diagnostics that fail a check, sorted; warnings left out."""
    return sorted(d for d in diagnostics if d.severity == "error")

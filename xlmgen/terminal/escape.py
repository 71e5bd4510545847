"""Text of others made harmless where it is shown: a terminal, Markdown, a workflow.

Names of files and specs, rows of data, prompts, generated text and answers of the Hub
may hold anything: escape sequences, line breaks, characters that turn the direction of
writing, commands of a GitHub workflow, Markdown. One function for each kind of output
shows such text as text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of what moves the cursor, hides, breaks lines or turns writing."""
KEPT = {"\t", "\u200c", "\u200d"}
"""Of these what many scripts need: joiners of letters and of pictures."""
_COMMAND = re.compile(r"^(\s*):(?=:)")
_OLD_COMMAND = "##["  # of a workflow, anywhere in a line
_OPENING = re.compile(
    r"^([0-9]*)((?<=[0-9])[.)](?=\s|$)|(?<![0-9])[+-](?=\s|$|--)|(?<![0-9])=(?==*$))"
)
_MARKS = re.compile(r"[\\`*\[\]<>#|~$&]|(?<!\w)_|_(?!\w)")


def terminal(text: object) -> str:
    """Text on one line of a terminal or a log; what would not be seen as its escape.

    A workflow of GitHub takes no line of it for a command.
    """
    shown = str(text)
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(c if _is_shown(c) else _escape(c) for c in shown)
    return _COMMAND.sub(r"\1\\x3a", shown).replace(_OLD_COMMAND, "#\\x23[")


def terminal_lines(text: str) -> str:
    """Text of several lines, such as a diff, each escaped by itself."""
    return "\n".join(map(terminal, text.split("\n")))


def markdown(text: object) -> str:
    """Text in a line of Markdown in which nothing is markup, a link or HTML.

    Nor does it begin a list, a quote or a rule where it begins the line.
    """
    shown = _MARKS.sub(r"\\\g<0>", terminal(text))
    shown = _OPENING.sub(r"\1\\\2", shown)
    # GitHub makes a link of a bare address.
    return shown.replace("://", ":\\//").replace("www.", "www\\.")


def code(text: object, *, cell: bool = False) -> str:
    """Text as code in a line of Markdown.

    Args:
        cell: of a table, where a bar ends the cell in code too.
    """
    shown = terminal(text)
    if cell:
        shown = shown.replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    pad = " " * (shown[:1] in ("`", " ") or shown[-1:] in ("`", " ") or not shown)
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def workflow_command(
    level: str, properties: Mapping[str, object], lines: Iterable[object]
) -> str:
    """A command of a GitHub workflow: `::error file=…,line=…::message`."""
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{level} {listed}::{'%0A'.join(map(_data, lines))}"


def json_text(text: str) -> str:
    """JSON whose strings hold what would not be seen as escapes; the same data."""
    shown = "".join(c if c == "\n" or _is_shown(c) else _json_escape(c) for c in text)
    return shown.replace(_OLD_COMMAND, "#\\u0023[")


def _is_shown(character: str) -> bool:
    return character in KEPT or unicodedata.category(character) not in HIDDEN


def _escape(character: str) -> str:
    r"""A character as Python writes it: `\n`, `\x1b`, `\u202e`."""
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs)


def _data(value: object) -> str:
    return terminal(value).replace("%", "%25")


def _property(value: object) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")

"""Escape untrusted text for terminals, Markdown and GitHub workflows.

Names of files and specs, rows of data, prompts, generated text and responses of the Hub
may contain escape sequences, line breaks, bidirectional controls, commands of GitHub
workflows, or Markdown. One function per kind of output shows such text literally.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control, format and separator characters."""
KEPT = {"\t", "\u200c", "\u200d"}
"""Exceptions that many scripts need: joiners of letters and of emoji."""
_COMMAND = re.compile(r"^(\s*):(?=:)")
_OLD_COMMAND = "##["  # workflow command, anywhere in a line
_OPENING = re.compile(
    r"^([0-9]*)((?<=[0-9])[.)](?=\s|$)|(?<![0-9])[+-](?=\s|$|--)|(?<![0-9])=(?==*$))"
)
_MARKS = re.compile(r"[\\`*\[\]<>#|~$&]|(?<!\w)_|_(?!\w)")
_LATEX = str.maketrans(
    {
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "[": "{[}",  # at the start of a row it would be an argument of \\\\
        "±": r"$\pm$",
        "≤": r"$\le$",
        "≥": r"$\ge$",
        "−": r"$-$",
        "–": "--",
    }
)


def terminal(text: object) -> str:
    """Format text on one line of a terminal or log, with invisible characters escaped.

    GitHub workflows take no part of it for a command.
    """
    shown = str(text)
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(c if _is_shown(c) else _escape(c) for c in shown)
    return _COMMAND.sub(r"\1\\x3a", shown).replace(_OLD_COMMAND, "#\\x23[")


def terminal_lines(text: str) -> str:
    """Escape each line of a text, such as a diff."""
    return "\n".join(map(terminal, text.split("\n")))


def markdown(text: object) -> str:
    """Escape text for a line of Markdown, so that it is no markup, link or HTML.

    At the beginning of a line it starts no list, quote or rule.
    """
    shown = _MARKS.sub(r"\\\g<0>", terminal(text))
    shown = _OPENING.sub(r"\1\\\2", shown)
    # GitHub turns bare addresses into links.
    return shown.replace("://", ":\\//").replace("www.", "www\\.")


def latex(text: object) -> str:
    """Escape text for LaTeX in text mode; some symbols become those of its maths."""
    return terminal(text).translate(_LATEX)


def code(text: object, *, cell: bool = False) -> str:
    """Format text as inline code of Markdown.

    Args:
        cell: whether it is in a table cell, where a bar must be escaped.
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
    """Format a GitHub workflow command: `::error file=…,line=…::message`."""
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{level} {listed}::{'%0A'.join(map(_data, lines))}"


def json_text(text: str) -> str:
    """Escape invisible characters in JSON; the data is the same."""
    shown = "".join(c if c == "\n" or _is_shown(c) else _json_escape(c) for c in text)
    return shown.replace(_OLD_COMMAND, "#\\u0023[")


def _is_shown(character: str) -> bool:
    return character in KEPT or unicodedata.category(character) not in HIDDEN


def _escape(character: str) -> str:
    r"""Escape a character as Python does: `\n`, `\x1b`, `\u202e`."""
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs)


def _data(value: object) -> str:
    return terminal(value).replace("%", "%25")


def _property(value: object) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")

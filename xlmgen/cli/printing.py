"""Output of the command line: coloured in a terminal, plain in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from xlmgen.cli import formats
from xlmgen.errors import UserError
from xlmgen.spec.diagnostics import Diagnostic, SpecError
from xlmgen.terminal.escape import terminal_lines
from xlmgen.terminal.output import say

if TYPE_CHECKING:
    from rich.text import Text

SEVERITY_STYLE = {"error": "bold red", "warning": "bold yellow", "note": "bold blue"}
DIFF_STYLE = {"+": "green", "-": "red", "@": "cyan"}


def escape_unprintable() -> None:
    """Print characters that an output cannot encode as escapes.

    A pipe may be ASCII, and a file name may contain bytes that are not valid UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_closed() -> None:
    """Discard prints to an output that was closed (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def discard_output() -> None:
    """Discard buffered text of outputs that cannot be written to."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal."""
    return stream.isatty()


def print_problems(problems: Sequence[Diagnostic], *, file: TextIO) -> None:
    """Print diagnostics as text."""
    if not problems:
        return
    if is_terminal(file):
        for problem in problems:
            said, *excerpt = _coloured(problem)
            _print_rich(said, file)
            for line in excerpt:
                _print_rich(line, file, code=True)
    else:
        print(formats.text(problems), file=file)


def print_diff(diff: str) -> None:
    """Print a unified diff with coloured lines."""
    if not is_terminal(sys.stdout):
        print(terminal_lines(diff))
        return
    from rich.text import Text

    for line in diff.split("\n"):
        bold = line.startswith(("+++", "---"))
        style = "bold" if bold else DIFF_STYLE.get(line[:1], "")
        _print_rich(Text(line, style), sys.stdout, code=True)


def print_error(error: UserError) -> None:
    """Print a user error to stderr: its diagnostics, or one line."""
    if isinstance(error, SpecError):
        print_problems(error.diagnostics, file=sys.stderr)
        return
    if is_terminal(sys.stderr):
        from rich.text import Text

        line = Text.assemble(("error", SEVERITY_STYLE["error"]), f": {error}")
        _print_rich(line, sys.stderr)
    else:
        say(f"error: {error}", file=sys.stderr)


def _print_rich(line: Text, file: TextIO, *, code: bool = False) -> None:
    """Print a line in colour; code is not wrapped."""
    from xlmgen.terminal.console import SafeConsole

    SafeConsole(file=file).print(line, soft_wrap=code)


def _coloured(problem: Diagnostic) -> list[Text]:
    """Return the lines of `formats.text` in colour."""
    from rich.text import Text

    place = f"{problem.file}:{problem.line}:{problem.col}"
    style = SEVERITY_STYLE[problem.severity]
    said = f"{problem.path}: {problem.message}" if problem.path else problem.message
    result = Text.assemble((place, "bold"), "  ", (problem.code, style), f"  {said}")
    if problem.fix:
        result.append(f"; {problem.fix}", "cyan")
    shown = formats.source(problem)
    if shown:
        return [result, Text(shown[0]), Text(shown[1], style)]
    return [result]

"""Print escaped lines on standard output and standard error, wrapped in terminals."""

from __future__ import annotations

import shutil
import sys
from typing import TextIO

from xlmgen.terminal.escape import terminal
from xlmgen.terminal.wrap import wrap


def say(line: object = "", *, file: TextIO | None = None, row: bool = False) -> None:
    """Print one line, at words in a terminal; invisible characters are escaped.

    Args:
        file: standard output by default.
        row: whether it is a row of a table, which is not wrapped.
    """
    file = file or sys.stdout
    shown = terminal(line)
    if file.isatty() and not row:
        shown = wrap(shown, shutil.get_terminal_size().columns)
    print(shown, file=file)

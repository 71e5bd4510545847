"""Print escaped lines on standard output and standard error."""

from __future__ import annotations

import sys
from typing import TextIO

from xlmgen.terminal.escape import terminal


def say(line: object = "", *, file: TextIO | None = None) -> None:
    """Print one line; characters that are not printable are escaped.

    Args:
        file: standard output by default.
    """
    print(terminal(line), file=file or sys.stdout)

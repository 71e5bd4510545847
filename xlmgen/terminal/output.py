"""Lines on standard output and standard error, in which text of others is escaped."""

from __future__ import annotations

import sys
from typing import TextIO

from xlmgen.terminal.escape import terminal


def say(line: object = "", *, file: TextIO | None = None) -> None:
    """Print one line; what it holds beside printable characters is escaped.

    Args:
        file: standard output by default.
    """
    print(terminal(line), file=file or sys.stdout)

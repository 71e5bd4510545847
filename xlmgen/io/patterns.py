"""Regular expressions of schemas, matched by Python as the editors' JavaScript does."""

from __future__ import annotations

import re
from functools import cache

TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)


@cache
def strict(pattern: str) -> re.Pattern[str]:
    r"""A pattern whose `$` is the end of the text alone.

    Python's `$` also matches before a final line break. A `$` in a character class or
    behind a backslash stays as it is.
    """
    return re.compile(TOKEN.sub(lambda at: r"\Z" if at[0] == "$" else at[0], pattern))

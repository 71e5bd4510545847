"""Adapt schemas' regular expressions, so that Python matches as JavaScript does."""

from __future__ import annotations

import re
from functools import cache

TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)


@cache
def strict(pattern: str) -> re.Pattern[str]:
    r"""Replace `$` in a pattern, so that it matches at the end of the text only.

    Python's `$` also matches before a final line break. A `$` in a character class or
    after a backslash is kept.
    """
    return re.compile(TOKEN.sub(lambda at: r"\Z" if at[0] == "$" else at[0], pattern))

"""Text that somebody wrote, as Markdown that shows it and means nothing more."""

from __future__ import annotations

import re

# A backslash, links, pictures and HTML, emphasis, code, strikes, and entities.
SIGN = re.compile(r"[\\\[\]<>*_`~&]")
# What makes a heading, list, quote or rule of a line that begins with it.
OPENING = re.compile(r"^(?:[#+=|-]|[0-9]+(?=[.)]))")


def markdown(text: str) -> str:
    """One line of text with a backslash before every sign that Markdown reads."""
    line = SIGN.sub(r"\\\g<0>", " ".join(text.split()))
    opening = OPENING.match(line)
    if opening is None:
        return line
    if opening[0].isdigit():
        return f"{opening[0]}\\{line[opening.end() :]}"
    return f"\\{line}"

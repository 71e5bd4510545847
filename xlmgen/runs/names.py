"""Short names of runs that are shown together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import compress, takewhile

_SEPARATOR = re.compile(r"-(?!\d)")  # not the sign in `learning_rate=1e-05`


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the parts that all of them have in common.

    Parts are separated by `-`: `arlm-star_tiny-tiny-seed0` beside
    `mdlm-star_tiny-tiny-seed0` is `arlm`. Names stay as they are where the short ones
    would be empty or equal.
    """
    parts = distinct_parts(names)
    short = [" ".join(one) for one in parts]
    if len(names) < 2 or not all(short) or len(set(short)) < len(set(names)):
        return list(names)
    return short


def common_name(names: Sequence[str], others: Sequence[str]) -> str:
    """Short name of some runs: the parts that these runs share, but not all runs.

    Args:
        names: of the runs.
        others: of all runs that are shown, these included.

    Returns:
        the name; empty if there are no such parts.
    """
    parts = dict(zip(others, distinct_parts(others), strict=True))
    first, *rest = (parts[name] for name in names)
    return " ".join(part for part in first if all(part in one for one in rest))


def distinct_parts(names: Sequence[str]) -> list[list[str]]:
    """The parts of every name that not all names have in common."""
    parts = [_SEPARATOR.split(name) for name in names]
    if len({len(one) for one in parts}) == 1:
        varied = [len(set(column)) > 1 for column in zip(*parts, strict=True)]
        return [list(compress(one, varied)) for one in parts]
    start = _common_length(parts)
    end = _common_length([one[start:][::-1] for one in parts])
    return [one[start : len(one) - end] for one in parts]


def _common_length(parts: Sequence[Sequence[str]]) -> int:
    """Number of parts at the beginning that are equal in all names."""
    columns = zip(*parts, strict=False)
    return len(list(takewhile(lambda column: len(set(column)) == 1, columns)))

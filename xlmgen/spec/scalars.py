"""Resolve plain scalars by YAML 1.2's core schema: 2e-5 is a number, `on` a string."""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
DECIMAL = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
LONGEST_NUMBER = 64  # characters; int() and float() are slow for long inputs


def resolve(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar.

    Raises:
        ValueError: a number that is not finite or does not fit in 64 bits.
    """
    if text in WORDS:
        return WORDS[text]
    if NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    for pattern, base in ((DECIMAL, 10), (OCTAL, 8), (HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            return _integer(text, base)
    if FLOAT.fullmatch(text):
        value = float(text) if len(text) <= LONGEST_NUMBER else math.inf
        if not math.isfinite(value):
            raise ValueError(f"{_short(text)} is too large or too long for a number")
        return value
    return text


def _integer(text: str, base: int) -> int:
    if len(text) <= LONGEST_NUMBER:
        value = int(text, base)
        if -(2**63) <= value < 2**63:
            return value
    raise ValueError(f"{_short(text)} does not fit in 64 bits")


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:20]}… ({len(text)} characters)"

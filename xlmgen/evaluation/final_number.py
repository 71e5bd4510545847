"""Answers that are numbers, said in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from xlmgen.errors import UserError

MARK = "####"  # in front of GSM8K's answers
BOX = r"\boxed{"
LONGEST = 400  # characters of a number
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\d))?|\.\d+"
# A minus is a sign where no number or word stands before it: 3-5 has none.
NUMBER = re.compile(
    rf"(?P<sign>(?<![\w).])[-−])?(?:\\?\$)?(?<![A-Za-z_])(?P<top>{DIGITS})"
    rf"(?:/(?P<bottom>{DIGITS}))?"
)
FRACTION = re.compile(r"\\[dt]?frac\{(-?[\d.,]+)\}\{([\d.,]+)\}")


def numeric_match(answers: Sequence[str], targets: Sequence[str]) -> list[float]:
    """1 where the number that an answer comes to equals the target's."""
    truths = [known(final_number(text), row) for row, text in enumerate(targets)]
    pairs = zip(map(final_number, answers), truths, strict=True)
    return [float(found == truth) for found, truth in pairs]


def final_number(text: str) -> Fraction | None:
    """The number that a text comes to, or None.

    That is the first one behind the last `####`; else the last one in the last
    `\boxed{…}`; else the last one of the text. Thousands may be set off by commas;
    currency and percent signs are left out; `3/4` is a fraction.
    """
    if MARK in text:
        return next(iter(_numbers(text.rpartition(MARK)[2])), None)
    if BOX in text:
        text = last_boxed(text)
    return next(reversed(_numbers(text)), None)


def last_boxed(text: str) -> str:
    """What stands in the last `\boxed{…}` of a text, up to its own closing brace."""
    inner = text.rpartition(BOX)[2]
    depth = 1
    for place, character in enumerate(inner):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            return inner[:place]
    return inner


def _numbers(text: str) -> list[Fraction]:
    text = FRACTION.sub(r"\1/\2", text)
    found = (value(match) for match in NUMBER.finditer(text))
    return [number for number in found if number is not None]


def value(match: re.Match[str]) -> Fraction | None:
    """The number that `NUMBER` matched; None where it is too long or no number."""
    if len(match[0]) > LONGEST:
        return None
    top = Fraction(match["top"].replace(",", ""))
    bottom = Fraction((match["bottom"] or "1").replace(",", ""))
    if not bottom:
        return None
    return (-top if match["sign"] else top) / bottom


def known(truth: Fraction | None, row: int) -> Fraction:
    """The number of a true answer; an error where it has none."""
    if truth is None:
        raise UserError(
            f"row {row} of the split: the true answer comes to no number",
            "mend the data, or take the metrics of numbers off the task",
        )
    return truth

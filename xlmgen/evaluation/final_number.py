"""Final numbers of answers in natural language."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from xlmgen.errors import UserError

MARK = "####"  # precedes the answer in GSM8K
BOX = r"\boxed{"
LONGEST = 400  # most characters of a number
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\d))?|\.\d+"
# A minus is a sign unless a number or word precedes it: 3-5 has no sign.
NUMBER = re.compile(
    rf"(?P<sign>(?<![\w).])[-−])?(?:\\?\$)?(?<![A-Za-z_])(?P<top>{DIGITS})"
    rf"(?:/(?P<bottom>{DIGITS}))?"
)
FRACTION = re.compile(r"\\[dt]?frac\{(-?[\d.,]+)\}\{([\d.,]+)\}")


def numeric_match(answers: Sequence[str], targets: Sequence[str]) -> list[float]:
    """1 where the final number of an answer equals that of the target, else 0."""
    truths = [known(final_number(text), row) for row, text in enumerate(targets)]
    pairs = zip(map(final_number, answers), truths, strict=True)
    return [float(found == truth) for found, truth in pairs]


def final_number(text: str) -> Fraction | None:
    r"""Final number of a text, or None.

    The first number after the last `####`; else the last number in the last
    `\boxed{…}`; else the last number of the text. Commas may separate thousands;
    currency and percent signs are ignored; `3/4` is a fraction.
    """
    if MARK in text:
        return next(iter(_numbers(text.rpartition(MARK)[2])), None)
    if BOX in text:
        text = last_boxed(text)
    return next(reversed(_numbers(text)), None)


def last_boxed(text: str) -> str:
    r"""Contents of the last `\boxed{…}` of a text, up to the matching brace."""
    inner = text.rpartition(BOX)[2]
    depth = 1
    for index, character in enumerate(inner):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            return inner[:index]
    return inner


def _numbers(text: str) -> list[Fraction]:
    text = FRACTION.sub(r"\1/\2", text)
    found = (value(match) for match in NUMBER.finditer(text))
    return [number for number in found if number is not None]


def value(match: re.Match[str]) -> Fraction | None:
    """Number of a match of `NUMBER`; None where it is too long or divides by zero."""
    if len(match[0]) > LONGEST:
        return None
    top = Fraction(match["top"].replace(",", ""))
    bottom = Fraction((match["bottom"] or "1").replace(",", ""))
    if not bottom:
        return None
    return (-top if match["sign"] else top) / bottom


def known(truth: Fraction | None, row: int) -> Fraction:
    """The number of a reference answer.

    Raises:
        UserError: the reference answer has no number.
    """
    if truth is None:
        raise UserError(
            f"row {row} of the split: the reference answer is not numeric",
            "fix the data, or remove the numeric metrics from the task",
        )
    return truth

"""Answers that are programs, which are run for the number that they return."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from xlmgen.evaluation.final_number import NUMBER, final_number, known, value
from xlmgen.evaluation.sandbox import run_program, run_programs

FUNCTION = re.compile(r"^def\s+(\w+)\s*\(", re.MULTILINE)
FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
NUMERIC = ("int", "float", "Decimal", "Fraction")
ROUNDING = Fraction(1, 10**6)  # what a program's floating-point numbers may be off by


def require() -> None:
    """Raise the error for a system on which no program is run."""
    run_program("")


def program_result(answers: Sequence[str], targets: Sequence[str]) -> list[float]:
    """1 where an answer is a program whose last function returns the target's number.

    The function is called without arguments. A target that is such a program, too, is
    run; of another, its number is taken.
    """
    found = program_numbers([*answers, *targets])
    truths = [
        known(result if _function(text) else final_number(text), row)
        for row, (text, result) in enumerate(
            zip(targets, found[len(answers) :], strict=True)
        )
    ]
    pairs = zip(found[: len(answers)], truths, strict=True)
    return [
        float(number is not None and _close(number, truth)) for number, truth in pairs
    ]


def program_numbers(texts: Sequence[str]) -> list[Fraction | None]:
    """What the last function of each text returns; None where that is no number."""
    codes = [_code(text) for text in texts]
    calls = [_function(text) for text in texts]
    rows = [row for row, call in enumerate(calls) if call]
    outcomes = run_programs([codes[row] for row in rows], [calls[row] for row in rows])
    numbers: list[Fraction | None] = [None] * len(texts)
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome.type in NUMERIC and outcome.value is not None:
            numbers[row] = _whole_number(outcome.value)
    return numbers


def _whole_number(text: str) -> Fraction | None:
    """The number that a text is, with nothing around it."""
    match = NUMBER.fullmatch(text.strip())
    return value(match) if match else None


def _close(number: Fraction, truth: Fraction) -> bool:
    return abs(number - truth) <= ROUNDING * max(Fraction(1), abs(truth))


def _code(text: str) -> str:
    """The program in a text: the last fenced one, or all of it."""
    fenced = FENCED.findall(text)
    return fenced[-1] if fenced else text


def _function(text: str) -> str | None:
    """The name of the last function of a program, if it is one."""
    names = FUNCTION.findall(_code(text))
    return names[-1] if names else None

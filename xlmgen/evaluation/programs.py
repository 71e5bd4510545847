"""Answers that are programs, executed for the number that they return."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from xlmgen.evaluation.final_number import NUMBER, final_number, known, value
from xlmgen.evaluation.sandbox import run_program, run_programs

FUNCTION = re.compile(r"^def\s+(\w+)\s*\(", re.MULTILINE)
FENCED = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
NUMERIC = ("int", "float", "Decimal", "Fraction")
ROUNDING = Fraction(1, 10**6)  # tolerance for floating-point results of programs


def require() -> None:
    """Raise a `UserError` where the sandbox does not work."""
    run_program("")


def program_result(answers: Sequence[str], targets: Sequence[str]) -> list[float]:
    """1 where an answer is a program whose last function returns the target's number.

    The function is called without arguments. A target that is a program is executed as
    well; any other target counts by its final number.
    """
    found = program_numbers([*answers, *targets])
    references = [
        known(result if _function(text) else final_number(text), row)
        for row, (text, result) in enumerate(
            zip(targets, found[len(answers) :], strict=True)
        )
    ]
    pairs = zip(found[: len(answers)], references, strict=True)
    return [
        float(number is not None and _close(number, reference))
        for number, reference in pairs
    ]


def program_numbers(texts: Sequence[str]) -> list[Fraction | None]:
    """Return value of the last function of each text; None where it is not a number."""
    codes = [_code(text) for text in texts]
    calls = [_function(text) for text in texts]
    rows = [row for row, call in enumerate(calls) if call]
    outcomes = run_programs([codes[row] for row in rows], [calls[row] for row in rows])
    numbers: list[Fraction | None] = [None] * len(texts)
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome.type in NUMERIC and outcome.value is not None:
            numbers[row] = _parse_number(outcome.value)
    return numbers


def _parse_number(text: str) -> Fraction | None:
    """The number that is the entire text, or None."""
    match = NUMBER.fullmatch(text.strip())
    return value(match) if match else None


def _close(number: Fraction, reference: Fraction) -> bool:
    return abs(number - reference) <= ROUNDING * max(Fraction(1), abs(reference))


def _code(text: str) -> str:
    """The program in a text: its last fenced code block, or the entire text."""
    fenced = FENCED.findall(text)
    return fenced[-1] if fenced else text


def _function(text: str) -> str | None:
    """Name of the last function of a program; None where the text defines none."""
    names = FUNCTION.findall(_code(text))
    return names[-1] if names else None

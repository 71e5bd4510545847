"""Mathematical equality of answers that are expressions."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.evaluation.final_number import BOX, last_boxed
from xlmgen.evaluation.sandbox import UNCONFINED, refuse, run_program

PROGRAM = Path(__file__).with_name("run_math.py")
WORD = re.compile("[A-Za-z]{2}")
SECONDS, WALL = 5, 20  # limits of one answer: CPU time, wall-clock time
MEMORY = 2**31  # bytes


def require() -> None:
    """Check that math-verify is installed and that the sandbox works here.

    Raises:
        UserError: one of the two is missing.
    """
    if importlib.util.find_spec("math_verify") is None:
        raise UserError(
            "the metric math_match needs the package math-verify",
            "pip install 'xlmgen[math]'",
        )
    run_program("")  # answers are compared in a sandboxed process too


def math_match(answers: Sequence[str], targets: Sequence[str]) -> list[float]:
    r"""1 where answer and target are mathematically equal by math-verify, else 0.

    Of both, the contents of the last `\boxed{…}` count, where there is one. Equal
    texts are equal; an answer that cannot be parsed or takes too long is wrong.
    """
    require()
    pairs = [
        (expression(answer), expression(target))
        for answer, target in zip(answers, targets, strict=True)
    ]
    unequal_texts = [pair for pair in pairs if pair[0] != pair[1] and pair[0]]
    verdicts = dict(zip(unequal_texts, _compare(unequal_texts), strict=True))
    return [float(verdicts.get(pair, pair[0] == pair[1])) for pair in pairs]


def expression(text: str) -> str:
    r"""The answer of a text, between dollar signs where it is a formula.

    A text without math delimiters is a formula if it has a LaTeX command or no word.
    """
    text = text.strip()
    if BOX in text:
        return f"${last_boxed(text).strip()}$"
    if not text or any(mark in text for mark in ("$", "\\(", "\\[")):
        return text
    return f"${text}$" if "\\" in text or not WORD.search(text) else text


def _compare(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    """Compare pairs of answer and target in a process of its own (`run_math.py`)."""
    if not pairs:
        return []
    request = {
        "pairs": pairs,
        "seconds": SECONDS,
        "wall": WALL,
        "memory": MEMORY,
        "confined": os.environ.get(UNCONFINED) != "1",
    }
    with tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        done = subprocess.run(
            [sys.executable, "-I", "-X", "utf8", str(PROGRAM)],
            stdin=stdin,
            capture_output=True,
            check=False,
        )
    lines = done.stdout.decode(errors="replace").splitlines()
    for line in lines:
        if line.startswith("refused"):
            raise refuse(line.removeprefix("refused "))
    if len(lines) != len(pairs):
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(
            f"math-verify failed: {last}",
            "reinstall it: pip install --force-reinstall math-verify",
        )
    return [line == "1" for line in lines]

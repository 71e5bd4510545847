"""Answers that are expressions: equal by mathematics, however they are written."""

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
SECONDS, WALL = 5, 20  # for one answer: of processor time, in all
MEMORY = 2**31


def require() -> None:
    """Raise the error for a package that is not there, or for the system."""
    if importlib.util.find_spec("math_verify") is None:
        raise UserError(
            "the metric math_match needs the package math-verify",
            "pip install 'xlmgen[math]'",
        )
    run_program("")  # an answer is looked at in such a process


def math_match(answers: Sequence[str], targets: Sequence[str]) -> list[float]:
    r"""1 where an answer is the target's mathematical object, by math-verify.

    Of both, what stands in the last `\boxed{…}` counts, where there is one. What is
    written in the same way is equal; what cannot be read, or takes too long, is not.
    """
    require()
    pairs = [
        (expression(answer), expression(target))
        for answer, target in zip(answers, targets, strict=True)
    ]
    open_ = [pair for pair in pairs if pair[0] != pair[1] and pair[0]]
    verdicts = dict(zip(open_, _compare(open_), strict=True))
    return [float(verdicts.get(pair, pair[0] == pair[1])) for pair in pairs]


def expression(text: str) -> str:
    r"""The part of a text that is its answer, between dollars where it is a formula.

    It is one with a command of LaTeX in it or without a word, where nothing says so.
    """
    text = text.strip()
    if BOX in text:
        return f"${last_boxed(text).strip()}$"
    if not text or any(mark in text for mark in ("$", "\\(", "\\[")):
        return text
    return f"${text}$" if "\\" in text or not WORD.search(text) else text


def _compare(pairs: Sequence[tuple[str, str]]) -> list[bool]:
    if not pairs:
        return []
    request = {
        "pairs": pairs,
        "seconds": SECONDS,
        "wall": WALL,
        "memory": MEMORY,
        "confined": os.environ.get(UNCONFINED) != "1",
    }
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps(request).encode())
        asked.seek(0)
        done = subprocess.run(
            [sys.executable, "-I", "-X", "utf8", str(PROGRAM)],
            stdin=asked,
            capture_output=True,
            check=False,
        )
    lines = done.stdout.decode(errors="replace").splitlines()
    for line in lines:
        if line.startswith("refused"):
            raise refuse(line.removeprefix("refused "))
    if len(lines) != len(pairs):
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UserError(f"math-verify failed: {last}", "install it anew")
    return [line == "1" for line in lines]

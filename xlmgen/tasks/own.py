"""Examples and scores from the user's own functions."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from numbers import Real
from typing import Any

import numpy as np

from xlmgen.tasks import draws
from xlmgen.tasks.hook import Hook

CHUNK = 1024  # examples per draw of `draws.splits`, which stops without new ones


def records(
    hook: Hook, source: Mapping[str, Any], columns: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row.

    Prompts are distinct; without prompts the sequences are.

    Args:
        hook: draws an example: `function(random, **settings)` returns a mapping with a
            text for each column.
        source: the mapping under `source:`, defaults filled in.
        columns: the keys of an example.

    Raises:
        UserError: there is no such function, it fails, or it returns no example.
    """
    stream = random.Random(source["seed"])
    settings = deepcopy(source["settings"])  # the function may change a list in place

    def draw() -> Iterator[tuple[str, list[draws.Row]]]:
        for _ in range(CHUNK):
            row = hook.call(stream, **settings)
            if not _is_example(row, columns):
                raise hook.error(
                    f"{hook.target} returned {_short(row)}, which is not an example",
                    "return {" + ", ".join(f'"{key}": a text' for key in columns) + "}",
                )
            yield row[columns[0]], [dict(row)]

    fix = "ask for fewer, or let the function choose among more"
    return draws.splits(draw, source["sizes"], "examples", fix)


def scores(hook: Hook, rows: Sequence[tuple[str, str, str]]) -> list[float]:
    """Score every row with the user's own metric.

    Args:
        hook: scores an answer: `function(prompt, answer, target)` returns a number or a
            bool.
        rows: prompt, answer and target as texts; empty where there is none.

    Raises:
        UserError: there is no such function, it fails, or it returns no finite number.
    """
    found = []
    for row in rows:
        value = hook.call(*row)
        number = _number(value)
        if not math.isfinite(number):
            raise hook.error(
                f"{hook.target} returned {_short(value)}, which is not a finite number",
                "return a finite number, or true or false",
            )
        found.append(number)
    return found


def _number(value: Any) -> float:
    """Value of a metric as float; NaN for a non-number, infinite if too large."""
    if not isinstance(value, Real | np.bool_):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _is_example(row: Any, columns: Sequence[str]) -> bool:
    return (
        isinstance(row, Mapping)
        and row.keys() == set(columns)
        and all(isinstance(text, str) for text in row.values())
    )


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # too many digits of an integer, or the user's own `__repr__`
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}…"

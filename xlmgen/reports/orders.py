"""Orders in which answers were written, from the predictions of evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xlmgen.comparison.comparison import Comparison
from xlmgen.comparison.measured import AGAIN, Measured
from xlmgen.errors import UserError

EXAMPLES = 2
"""Number of answers of every way of decoding."""
LONGEST = 48
"""Number of tokens of an answer that are shown."""


@dataclass(frozen=True)
class Order:
    """An answer and the order of its tokens.

    Args:
        name: of the run and its decoding.
        prompt: empty for a text without one.
        tokens: text and step of every token shown, in reading order.
        hidden: number of further tokens.
        correct: None where there is no reference.
    """

    name: str
    prompt: str
    tokens: Sequence[tuple[str, int]]
    hidden: int
    correct: bool | None

    @property
    def label(self) -> str:
        verdict = {True: " (right)", False: " (wrong)", None: ""}[self.correct]
        return f"{self.name}{verdict}"


def orders(found: Comparison) -> Iterator[Order]:
    """The first answers of the first seed of every group, if they were recorded.

    Raises:
        UserError: a recorded order is damaged.
    """
    for group in found.groups:
        recorded = [row for row in group.first.rows if "order" in row]
        for row in recorded[:EXAMPLES]:
            tokens = _tokens(row["order"], group.first)
            correct = row.get("correct")
            yield Order(
                found.label(group.first),
                str(row.get("prompt", "")),
                tokens[:LONGEST],
                max(0, len(tokens) - LONGEST),
                correct if isinstance(correct, bool) else None,
            )


def _tokens(value: Any, one: Measured) -> list[tuple[str, int]]:
    match value:
        case list() if all(
            isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and type(pair[1]) is int
            and pair[1] > 0
            for pair in value
        ):
            return [(text, step) for text, step in value]
    raise UserError(
        f"{one.run.path / 'predictions' / one.file.stem}.jsonl: order is not a list of "
        "tokens and steps",
        AGAIN,
    )

"""Generated answers on the console, with the order in which tokens were written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from xlmgen.evaluation.grid import print_grid
from xlmgen.evaluation.order import written_order
from xlmgen.runtime.generation import Generation
from xlmgen.terminal.escape import terminal

PALETTE = (
    "#5e81f4",
    "#2fa8dd",
    "#1fbfa5",
    "#6cc24a",
    "#c5b71f",
    "#f29a2e",
    "#ec6a3b",
    "#d9446b",
)
"""Colours from the first step to the last."""


@dataclass(frozen=True)
class Written:
    """A token of an answer, and the step that wrote it last, counted from 1."""

    text: str
    step: int


def written_tokens(
    generation: Generation, row: int, name: Callable[[int], str], eos: int
) -> list[Written]:
    """Displayed tokens of a row's answer; arguments as for `written_order`.

    Args:
        name: the displayed text of an id.
    """
    order = written_order(generation, row, eos)
    return [Written(visible(name(token)), step) for token, step in order]


def visible(text: str) -> str:
    """A token's text on one line, with visible spaces and control characters."""
    return one_line(text.replace(" ", "␣"))


def one_line(text: str) -> str:
    """A text on one line, with visible control characters."""
    return terminal(text.replace("\n", "⏎").replace("\t", "\\t"))


def show_order(console: Console, tokens: Sequence[Written], label: str) -> None:
    """Print tokens coloured by step, with the step number below each."""
    styles = step_styles([token.step for token in tokens])
    columns = []
    for token in tokens:
        style = styles[token.step]
        columns.append(
            ((token.text, f"bold {style}"), (str(token.step), f"dim {style}"))
        )
    print_grid(console, columns, (label, " " * len(label)))


def step_styles(steps: Sequence[int]) -> dict[int, str]:
    """Colour of every step."""
    ordered = sorted(set(steps))
    return {step: _style(rank, len(ordered)) for rank, step in enumerate(ordered)}


def legend() -> Text:
    """Legend of the colours."""
    text = Text("order: first ")
    for colour in PALETTE:
        text.append("■", colour)
    return text.append(" last; the number under a token is its step")


def _style(rank: int, ranks: int) -> str:
    return PALETTE[rank * (len(PALETTE) - 1) // max(1, ranks - 1)]

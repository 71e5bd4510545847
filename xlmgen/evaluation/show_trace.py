"""Generated answers on the screen, and in what order their tokens appeared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from xlmgen.evaluation.grid import print_grid
from xlmgen.runtime.sampling import Generation
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
"""From the first step to the last."""


@dataclass(frozen=True)
class Written:
    """One token of an answer, and the step at which it was written last, from 1."""

    text: str
    step: int


def written_tokens(
    generation: Generation, row: int, name: Callable[[int], str], eos: int
) -> list[Written]:
    """The tokens of one row's answer up to and with its EOS, in the order of reading.

    Args:
        generation: with its trace.
        name: the text of an id for display.
    """
    trace = generation.trace
    assert trace is not None
    here = trace.row == row
    events = zip(trace.step[here].tolist(), trace.position[here].tolist(), strict=True)
    steps = {position: step for step, position in events}
    result = []
    for position, (token, new) in enumerate(
        zip(
            generation.ids[row].tolist(),
            generation.generated[row].tolist(),
            strict=True,
        )
    ):
        if not new:
            continue
        result.append(Written(visible(name(token)), steps[position] + 1))
        if token == eos:
            break
    return result


def visible(text: str) -> str:
    """A token's text on one line, its spaces and control characters to be seen."""
    return one_line(text.replace(" ", "␣"))


def one_line(text: str) -> str:
    """A text on one line, its control characters to be seen."""
    return terminal(text.replace("\n", "⏎").replace("\t", "\\t"))


def show_order(console: Console, tokens: Sequence[Written], label: str) -> None:
    """Tokens coloured by step, with the step of each below it."""
    ranks = {step: i for i, step in enumerate(sorted({t.step for t in tokens}))}
    columns = []
    for token in tokens:
        style = _style(ranks[token.step], len(ranks))
        columns.append(
            ((token.text, f"bold {style}"), (str(token.step), f"dim {style}"))
        )
    print_grid(console, columns, (label, " " * len(label)))


def legend() -> Text:
    """What the colours mean."""
    text = Text("order: first ")
    for colour in PALETTE:
        text.append("■", colour)
    return text.append(" last; the number under a token is its step")


def _style(rank: int, ranks: int) -> str:
    return PALETTE[rank * (len(PALETTE) - 1) // max(1, ranks - 1)]

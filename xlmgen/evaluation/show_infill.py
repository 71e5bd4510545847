"""Sequences with holes on the console: given tokens, and [tokens filled in]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from xlmgen.data.task import Task
from xlmgen.evaluation.grid import Cell, print_grid
from xlmgen.evaluation.order import written_steps
from xlmgen.evaluation.show_trace import step_styles, visible
from xlmgen.runtime.generation import Generation
from xlmgen.spec.generators import metrics

HOLE = "_"
"""Hole of a board that is not filled."""
Note = tuple[str, str]
"""A text after the sequence, and its style."""


@dataclass(frozen=True)
class Place:
    """A position of a sequence.

    Args:
        text: its token.
        is_filled: whether the token was to predict.
        step: the step that wrote it last, counted from 1; None without a trace.
    """

    text: str
    is_filled: bool = False
    step: int | None = None

    @property
    def marked(self) -> str:
        """The token, in brackets if it was filled in."""
        return f"[{self.text}]" if self.is_filled else self.text


def generated_places(task: Task, generation: Generation, row: int) -> list[Place]:
    """A row of the answers, with the given tokens; special tokens are left out."""
    special = task.tokenizer.special
    hidden = {special.pad, special.bos, special.eos, special.mask, special.cls}
    steps = {} if generation.trace is None else written_steps(generation, row)
    ids, new = generation.ids[row].tolist(), generation.generated[row].tolist()
    return [
        Place(_text(task, token), is_new, steps.get(position))
        for position, (token, is_new) in enumerate(zip(ids, new, strict=True))
        if token not in hidden or (is_new and token != special.pad)
    ]


def example_places(
    task: Task, example: Mapping[str, Any], *, holes: bool
) -> list[Place]:
    """A row of the data, with its holes or with the true tokens in them."""
    pairs = zip(example["tokens"], example["given"], strict=True)
    return [
        Place(HOLE)
        if holes and not given
        else Place(_text(task, int(token)), is_filled=not given)
        for token, given in pairs
    ]


def board_side(task: Task, length: int) -> int | None:
    """Number of columns of a square board; None if the sequence is not one.

    A metric of the task says that sequences are boards.
    """
    known = metrics()
    is_board = any(name in known and known[name].board for name in task.metrics)
    side = isqrt(length)
    return side if is_board and side**2 == length else None


def show_places(
    console: Console,
    task: Task,
    places: Sequence[Place],
    label: str,
    note: Note = ("", ""),
) -> None:
    """Print a sequence on a line, or a board as a grid, with steps if it has any."""
    side = board_side(task, len(places))
    if side is None and not any(place.step for place in places):
        line = Text.assemble((label, "dim"))
        for number, place in enumerate(places):
            line.append(_gap(task) if number else "")
            line.append(place.marked, "bold" if place.is_filled else "")
        line.append(*note)
        console.print(line)
        return
    styles = step_styles([place.step for place in places if place.step])
    columns = [_cells(place, styles) for place in places]
    width = max(cell_len(text) for column in columns for text, _ in column)
    for start in range(0, len(columns), side or len(columns)):
        chunk = columns[start : start + (side or len(columns))]
        if side is not None:
            chunk = [(_padded(a, width), _padded(b, width)) for a, b in chunk]
        if start == 0 and note[0]:
            chunk = [*chunk, ((note[0].strip(), note[1]), ("", ""))]
        shown = label if start == 0 else " " * len(label)
        if any(column[1][0].strip() for column in chunk):
            print_grid(console, chunk, (shown, " " * len(label)))
        else:
            print_grid(console, [column[:1] for column in chunk], (shown,))


def _cells(place: Place, styles: Mapping[int, str]) -> tuple[Cell, Cell]:
    """The token and the step below it."""
    style = styles.get(place.step or 0, "")
    token = place.marked if place.is_filled else f" {place.text}"
    if not place.is_filled:
        return (token, ""), ("", "")
    step = "" if place.step is None else f" {place.step}"
    return (token, f"bold {style}".strip()), (step, f"dim {style}".strip())


def _padded(cell: Cell, width: int) -> Cell:
    text, style = cell
    return text + " " * (width - cell_len(text)), style


def _text(task: Task, token: int) -> str:
    return visible(task.tokenizer.token(token))


def _gap(task: Task) -> str:
    """Text between two tokens: a blank for tokenizers of words."""
    kinds = ("vocabulary", "whitespace")
    return " " if task.tokenizer_options["kind"] in kinds else ""

"""Sequences with holes are shown with their answers, and boards as grids."""

import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from xlmgen.evaluation.scores import completed_text
from xlmgen.evaluation.show_infill import (
    Place,
    board_side,
    example_places,
    generated_places,
    show_places,
)
from xlmgen.runtime.generation import Generation, Trace
from xlmgen.runtime.special_tokens import SpecialTokens

FIRST = 10  # id of the token "0"
EXAMPLE = {"tokens": [11, 12, 13, 14], "given": [1, 0, 0, 1]}


def task(kind="vocabulary", metrics=()):
    return SimpleNamespace(
        tokenizer=SimpleNamespace(
            token=lambda id_: str(id_ - FIRST), special=SpecialTokens(vocab_size=20)
        ),
        tokenizer_options={"kind": kind},
        metrics=metrics,
        decode=lambda ids: " ".join(str(id_ - FIRST) for id_ in ids),
    )


def generation(trace=None):
    """BOS, 1, [2], [8], 4 and a PAD."""
    new = [False, False, True, True, False, False]
    ids = torch.tensor([[1, 11, 12, 18, 14, 0]])
    return Generation(ids, torch.tensor([new]), 3, trace)


def shown(task, places, note=("", "")):
    out = io.StringIO()
    show_places(Console(file=out, width=60), task, places, "answer  ", note)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "line"), [("vocabulary", "1 [2] [8] 4"), ("character", "1[2][8]4")]
)
def test_answer_is_between_the_given_tokens(kind, line):
    made = task(kind)
    assert shown(made, generated_places(made, generation(), 0)) == f"answer  {line}\n"


def test_holes_and_truth_of_the_data():
    holes = example_places(task(), EXAMPLE, holes=True)
    assert [place.marked for place in holes] == ["1", "_", "_", "4"]
    true = example_places(task(), EXAMPLE, holes=False)
    assert [place.marked for place in true] == ["1", "[2]", "[3]", "4"]


@pytest.mark.parametrize(
    ("metrics", "length", "side"),
    [
        (("solved",), 16, 4),
        (("exact_match", "valid_queens"), 25, 5),
        (("solved",), 15, None),
        (("exact_match",), 16, None),
    ],
)
def test_metric_makes_a_sequence_a_board(metrics, length, side):
    assert board_side(task(metrics=metrics), length) == side


def test_board_is_a_grid_with_its_verdict():
    made = task(metrics=("solved",))
    places = generated_places(made, generation(), 0)
    assert shown(made, places, ("  wrong", "red")) == (
        "answer   1  [2] wrong\n        [8]  4\n"
    )


def test_steps_are_below_the_tokens_that_were_written():
    events = [(0, 0, 3, 18), (1, 0, 2, 12)]
    trace = Trace(*map(torch.tensor, zip(*events, strict=True)))
    places = generated_places(task(), generation(trace), 0)
    assert [place.step for place in places] == [None, 2, 1, None]
    above, below = shown(task(), places).splitlines()
    assert above.split() == ["answer", "1", "[2]", "[8]", "4"]
    assert below.split() == ["2", "1"]
    assert above.index("2]") == below.index("2")
    grid = shown(task(metrics=("solved",)), places).splitlines()
    assert [line.split() for line in grid] == [
        ["answer", "1", "[2]"],
        ["2"],
        ["[8]", "4"],
        ["1"],
    ]


def test_completed_text_needs_a_token_for_every_hole():
    assert completed_text(task(), EXAMPLE, [15, 16]) == "1 5 6 4"
    assert completed_text(task(), EXAMPLE, [15]) == ""


def test_marked_token_is_in_brackets():
    assert Place("a", is_filled=True).marked == "[a]"

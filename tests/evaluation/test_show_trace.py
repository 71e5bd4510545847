"""Order in which tokens were written, in a terminal and in a pipe."""

import io

import pytest
import torch
from rich.console import Console

from xlmgen.evaluation.show_trace import (
    Written,
    legend,
    show_order,
    visible,
    written_tokens,
)
from xlmgen.runtime.generation import Generation, Trace

EOS = 2


def generation():
    """Prompt 7, then 5 at step 2, 6 at steps 0 and 3, EOS at 1, and 9 after EOS."""
    events = [(0, 0, 2, 6), (1, 0, 3, EOS), (2, 0, 1, 5), (3, 0, 2, 6), (4, 0, 4, 9)]
    columns = (torch.tensor(column) for column in zip(*events, strict=True))
    return Generation(
        torch.tensor([[7, 5, 6, EOS, 9]]),
        torch.tensor([[False, True, True, True, True]]),
        5,
        Trace(*columns),
    )


def shown(tokens, width=80, **options):
    out = io.StringIO()
    console = Console(file=out, width=width, **options)
    show_order(console, tokens, "answer  ")
    return out.getvalue()


def test_tokens_are_in_reading_order_with_their_last_step():
    tokens = written_tokens(generation(), 0, lambda token: f"<{token}>", EOS)
    assert tokens == [Written("<5>", 3), Written("<6>", 4), Written("<2>", 2)]


def test_pipe_output_has_step_below_token():
    above, below = shown([Written("blue", 12), Written("a", 3)]).splitlines()
    assert above.split() == ["answer", "blue", "a"]
    assert below.split() == ["12", "3"]
    assert above.index("blue") == below.index("12")
    assert above.index(" a") == below.index(" 3")
    assert "\x1b" not in above + below


@pytest.mark.parametrize(
    ("text", "shown"), [(" the", "␣the"), ("a\n", "a⏎"), ("\x1b[31m", "\\x1b[31m")]
)
def test_control_characters_are_made_visible(text, shown):
    assert visible(text) == shown


def test_long_answers_wrap_between_tokens():
    tokens = [Written(f"token{i}", i) for i in range(40)]
    lines = shown(tokens).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert " ".join(lines[::2]).split()[1:] == [token.text for token in tokens]
    assert " ".join(lines[1::2]).split() == [str(token.step) for token in tokens]


def test_terminal_output_is_coloured_by_step():
    terminal = {"force_terminal": True, "color_system": "truecolor"}
    text = shown([Written("a", 1), Written("b", 9), Written("c", 1)], **terminal)
    colours = [part.split("m")[0] for part in text.splitlines()[0].split("\x1b[")[1:]]
    colours = [colour for colour in colours if colour.startswith("1;38")]
    assert colours[0] == colours[2] != colours[1]


def test_legend_fits_one_line():
    assert len(legend().plain) < 80

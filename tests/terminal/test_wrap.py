"""Messages are wrapped at words in a terminal, and nowhere else."""

import io

import pytest
from rich.text import Text

from xlmgen.terminal import output
from xlmgen.terminal.console import SafeConsole
from xlmgen.terminal.wrap import columns, wrap

LINE = "error: runs/a/very/long/path/without/blanks is not a run; check the path"
PARTS = ["runs/a/very/long/path/without/blanks", "error:", "check", "path"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_words_stay_complete(width):
    lines = wrap(LINE, width).split("\n")
    assert " ".join(lines) == LINE
    assert all(len(line) <= width or " " not in line for line in lines)
    assert len(lines) == 1 or width < len(LINE)


def test_later_lines_start_below_the_text_of_a_label():
    assert wrap("prompt  1 22 333 4", 14) == "prompt  1 22\n        333 4"
    assert wrap("prompt  runs/long/path", 14) == "prompt  runs/long/path"


def test_commands_and_code_are_not_wrapped():
    assert wrap("  xlmgen eval runs/a --limit 10", 12) == (
        "  xlmgen eval runs/a --limit 10"
    )


def test_wide_characters_take_two_columns():
    assert columns("日本e\u0301") == 5
    assert wrap("日本 日本", 8) == "日本\n日本"


@pytest.mark.parametrize("line", [LINE, Text(LINE, "bold")])
def test_console_wraps_in_a_terminal_only(line):
    pipe, out = io.StringIO(), io.StringIO()
    SafeConsole(file=pipe, width=30).print(line)
    assert pipe.getvalue() == LINE + "\n"
    console = SafeConsole(file=out, width=30, force_terminal=True, color_system=None)
    console.print(line, style="yellow")
    assert out.getvalue() == wrap(LINE, 30) + "\n"
    console.print(line, soft_wrap=True)
    assert out.getvalue().endswith("\n" + LINE + "\n")


def test_lines_break_where_their_styles_stay():
    out = io.StringIO()
    console = SafeConsole(file=out, width=10, force_terminal=True)
    console.print(Text.assemble("one two ", ("three four", "bold")))
    assert out.getvalue() == "one two\n\x1b[1mthree four\x1b[0m\n"


def test_said_lines_are_wrapped_in_a_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    pipe, terminal = io.StringIO(), Terminal()
    output.say(LINE, file=pipe)
    output.say(LINE, file=terminal)
    output.say(LINE, file=terminal, row=True)
    assert pipe.getvalue() == LINE + "\n"
    assert terminal.getvalue() == f"{wrap(LINE, 30)}\n{LINE}\n"

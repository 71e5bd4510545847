"""Untrusted text is literal in terminals, Markdown and workflows."""

import ast
import io
import json

import pytest
from rich.table import Table
from rich.text import Text

from xlmgen import resources
from xlmgen.terminal.console import SafeConsole
from xlmgen.terminal.escape import (
    code,
    json_text,
    markdown,
    terminal,
    terminal_lines,
    workflow_command,
)

HOSTILE = "a\x1b[31mb\r\n::error::c\u202ed\u2028\x9b2J\x07\udcff\U000e0041"
SHOWN = r"a\x1b[31mb\r\n::error::c\u202ed\u2028\x9b2J\x07\udcff\U000e0041"


def test_terminal_escapes_every_hidden_character():
    assert terminal(HOSTILE) == SHOWN
    assert terminal(SHOWN) == SHOWN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "ä 日本語　テキスト",
        "a\tb",
        "क्‍ष می‌خواهم",
        "👩‍👩‍👧",
        "\u0301e",
        "a::b",
    ],
)
def test_terminal_keeps_text_of_any_script(text):
    assert terminal(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::x", "\\x3a:error::x"),
        ("  ::add-mask::x", "  \\x3a:add-mask::x"),
        ("x ##[error]y", "x #\\x23[error]y"),
        ("\n::error::x", "\\n::error::x"),
    ],
)
def test_terminal_lines_are_no_workflow_commands(text, shown):
    assert terminal(text) == shown


def test_terminal_lines_keeps_lines():
    assert terminal_lines("+a\r\n ::error::b\n\tc") == "+a\\r\n \\x3a:error::b\n\tc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\n\n## Heading", "x\\\\n\\\\n\\#\\# Heading"),
        ("[a](https://b)", "\\[a\\](https:\\//b)"),
        ("<img src=x>&lt;", "\\<img src=x\\>\\&lt;"),
        ("www.evil.example", "www\\.evil.example"),
        ("a|b `c` **d** ~e~ $f$", "a\\|b \\`c\\` \\*\\*d\\*\\* \\~e\\~ \\$f\\$"),
        (
            "max_steps _x_ it's (1 − 2) {a: b}!",
            "max_steps \\_x\\_ it's (1 − 2) {a: b}!",
        ),
    ],
)
def test_markdown_has_no_markup(text, shown):
    assert markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a", "`a`"),
        ("a`b", "``a`b``"),
        ("``", "``` `` ```"),
        ("", "`  `"),
        ("a\nb", "`a\\nb`"),
    ],
)
def test_markdown_code_ends_with_text(text, shown):
    assert code(text) == shown


def test_bar_in_code_does_not_end_cell():
    assert code("a|b", cell=True) == "`a\\|b`"


def test_workflow_command_is_one_line():
    said = workflow_command("error", {"file": "a,b:c\n"}, ["100 %\r", "::warning::x"])
    assert said == "::error file=a%2Cb%3Ac\\n::100 %25\\r%0A\\x3a:warning::x"


def test_json_text_escapes_hidden_characters():
    data = {"a": HOSTILE.replace("\udcff", ""), "b": "##[error]日本\x7f"}
    text = json_text(json.dumps(data, ensure_ascii=False, indent=2))
    assert json.loads(text) == data
    assert terminal_lines(text) == text
    assert "日本" in text


def drawn(*objects, **options):
    file = io.StringIO()
    SafeConsole(file=file, width=200, **options).print(*objects)
    return file.getvalue()


def test_console_prints_one_line_without_markup():
    text = f"[red]:smile:{HOSTILE}"
    assert drawn(text) == f"[red]:smile:{SHOWN}\n"
    # rich itself leaves CR and BEL out of its texts
    shown = f"[red]:smile:{SHOWN}\n".replace("\\r", "").replace("\\x07", "")
    assert drawn(Text(text)) == shown
    assert drawn(Text.assemble(("[red]:smile:", "red"), HOSTILE)) == shown


def test_table_cells_have_no_control_characters():
    table = Table("a\x1b[1m", box=None)
    table.add_row("[bold]\x1b]0;title\x07")
    assert "\x1b" not in drawn(table)
    assert "[bold]\\x1b]0;" in drawn(table)


def test_own_styles_are_drawn():
    shown = drawn(Text.assemble(("a\x1b[1m", "red"), "\nb"), force_terminal=True)
    assert shown == "\x1b[31ma\\x1b[1m\x1b[0m\\nb\n"


def test_modules_use_safe_console_and_say():
    """Only these modules use `print`, for text that was escaped."""
    printing = {"output", "check", "printing", "compare", "review", "__init__", "data"}
    printing |= {"explain", "resolve", "__main__", "schemas", "run_math"}
    printing |= {"signals", "bounded", "flags"}
    package = resources.root() / "xlmgen"
    for file in package.rglob("*.py"):
        if file.parent.name in ("testing", "suites"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            name = node.func.id if _is_call(node) else ""
            assert name != "Console", file
            assert name != "print" or file.stem in printing, file


def _is_call(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)

"""For any file, commands return an exit code and write nothing."""

import os
import re
import shlex
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from xlmgen.spec import load
from xlmgen.spec.load import MAX_BYTES, MAX_DEPTH, MAX_VALUES, load_yaml

from .conftest import SPECS, few, run, snapshot

TASKS = Path(__file__).parents[2] / "xlmgen" / "tasks"
BASES = [
    (SPECS / "mdlm.yaml").read_text("utf-8"),
    (TASKS / "star_tiny.yaml").read_text("utf-8"),
    "spec: xlmgen/experiment/v1\nname: a\nfamily: mdlm\ntask: star_tiny\nsize: tiny\n",
]
COMMANDS = [
    *(["check", "--format", form] for form in ("text", "json", "github", "sarif")),
    ["new", "--dry-run"],
    ["new", "--diff"],
    ["migrate", "--diff"],
]
FILE = "file.yaml"
WORDS = (
    *(
        "1e999",
        ".nan",
        "-.inf",
        "9" * 30,
        "-1",
        "0",
        "1e-400",
        "1e308",
        "0x" + "f" * 20,
    ),
    *("!!python/object/apply:os.system ['true']", "!x y", "!!binary aGk=", "! 1"),
    *("&a [*a]", "*nothing", "&b {kind: *b}", "<<: *x", "[" * 60, "{a: " * 49 + "1"),
    *(
        "null",
        "~",
        "true",
        "[]",
        "{}",
        "''",
        "|\n  x",
        '"\\ud800"',
        '"\\0"',
        '"\\u202e"',
    ),
    *("\t", "\0", "\x1b[31m", "\ufeff", "\x85", "\u2028", "é語😀", "x" * 5000, "- a"),
    *(
        "1: 2",
        "? [a]\n: b",
        "null: x",
        "---",
        "...",
        "%YAML 9.9",
        "#",
        "'",
        '"',
        "@",
        "`",
    ),
)


@st.composite
def texts(draw) -> bytes:
    """Draw a spec with changed lines, words, line ends and bytes."""
    lines = draw(st.sampled_from(BASES)).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        words = re.split(r"(\W+)", lines[at])
        word = draw(st.integers(0, len(words) - 1))
        match draw(st.integers(0, 6)):
            case 0:
                del lines[at : at + draw(st.integers(1, max(1, len(lines) - 1)))]
                lines = lines or [""]
            case 1:
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case 2:
                lines.insert(at, draw(st.sampled_from(WORDS)))
            case 3:
                lines[at] = draw(st.sampled_from(("  ", "\t", "- ", "? "))) + lines[at]
            case 4:
                words[word] = draw(st.text(max_size=8))
                lines[at] = "".join(words)
            case _:
                words[word] = draw(st.sampled_from(WORDS))
                lines[at] = "".join(words)
    end = draw(st.sampled_from(("\n", "\n", "\r\n", "\r", "\u2028")))
    content = end.join(lines).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=4)) + content[at:]
    if draw(st.integers(0, 5)) == 0:
        content = "\ufeff".encode() + content
    return content


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
@few(40)
@given(content=texts())
def test_no_text_raises_or_writes(here, command, content):
    note(content)
    Path(FILE).write_bytes(content)
    code, said = run(*command, FILE)
    assert code in (0, 1, 2)
    assert "Traceback" not in said
    assert snapshot(here) == {FILE: content}


def bomb(levels: int) -> str:
    """Make nested aliases that expand to a power of ten of values."""
    names = [f"n{level}" for level in range(levels)]
    lines = [f"{names[0]}: &{names[0]} [{', '.join('x' * 10)}]"]
    for before, name in pairwise(names):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    return "\n".join(lines)


def steep(levels: int) -> str:
    """Make nested lists, some written out and others by aliases."""
    lines = ["a0: &a0 [1]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {'[' * 40}*a{level - 1}{']' * 40}")
    return "\n".join(lines)


TOO_MUCH = {
    "a million lines": "name: x\n" * 1_000_000,
    "a million comments": "#\n" * 1_000_000,
    "one line": f"name: {'x' * 2_000_000}\n",
    "values": "a: [" + "1," * (MAX_VALUES + 1) + "]\n",
    "keys": "".join(f"k{n}: 1\n" for n in range(MAX_VALUES // 2 + 1)),
    "brackets": "a: " + "[" * 100_000,
    "dashes": "- " * 100_000,
    "aliases": bomb(9),
    "depth of aliases": steep(30),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_too_many_values_are_refused(here, what, monkeypatch):
    """The work is bounded by the maximum number of values."""
    read = []
    count = load._Reader._count
    monkeypatch.setattr(
        load._Reader,
        "_count",
        lambda self, size, span: read.append(1) or count(self, size, span),
    )
    Path(FILE).write_text(TOO_MUCH[what], "utf-8")
    start = time.perf_counter()
    code, said = run("check", FILE)
    assert time.perf_counter() - start < 20
    assert code == 1
    assert re.match(rf"{FILE}:\d+:\d+  XG007  ", said)
    assert said.count("XG") == 1
    assert len(read) <= MAX_VALUES + 1
    large = len(TOO_MUCH[what]) > MAX_BYTES
    assert (f"{MAX_BYTES:,} bytes" in said) == large == (not read)


def test_aliases_count_towards_depth():
    """Tests the maximum depth, with and without aliases, and one level more."""
    for extra, codes in ((0, []), (1, ["XG007"])):
        below = "[" * 20 + "]" * 20
        levels = MAX_DEPTH - 20 + extra
        text = f"a: &a {below}\nb: {'[' * levels}*a{']' * levels}\n"
        assert [p.code for p in load_yaml(FILE, text).problems] == codes


@pytest.mark.parametrize(
    "text", ['title: "a\\ud800"\n', '"\\udfff": 1\n', "a: [1, x\ufeff]\n"]
)
def test_invalid_characters_are_reported(text):
    (problem,) = load_yaml(FILE, text).problems
    assert problem.code == "XG003"
    assert "is not allowed" in problem.message
    assert problem.fix


EVERY_FORMAT = """
import sys
from xlmgen.cli import main
forms = ("text", "json", "github", "sarif")
sys.exit(sum(main(["check", "--format", form, sys.argv[1]]) for form in forms))
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_of_any_encoding_is_written(here, encoding):
    name = os.fsdecode(b"\xff\xc3\xa9.yaml")
    Path(name).write_text("spec: xlmgen/family/v1\ntitle: é\nlos: 語\n", "utf-8")
    command = [sys.executable, "-c", EVERY_FORMAT, name]
    env = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, env=env, capture_output=True, check=False)
    assert (done.stderr, done.returncode) == (b"", 4)  # problems in all four
    assert done.stdout.decode(encoding).count("did you mean 'loss'?") == 4


CIRCLE, LONG = "circle.yaml", "x" * 300


@pytest.mark.parametrize(
    "command",
    [
        *([name, at] for name in ("check", "new", "migrate") for at in (CIRCLE, LONG)),
        *(["update", at] for at in (CIRCLE, LONG)),
        *(["new", FILE, "--out", at] for at in (CIRCLE, LONG, FILE)),
        *(["new", FILE, "--dry-run", "--out", at] for at in (CIRCLE, LONG)),
        ["check", "--fix", CIRCLE],
    ],
    ids=lambda words: " ".join(word[:12] for word in words),
)
def test_unusable_path_is_one_line(here, command):
    Path(CIRCLE).symlink_to(CIRCLE)
    Path(FILE).write_text(BASES[0], "utf-8")
    before = snapshot(here)
    code, said = run(*command)
    assert code in (0, 1, 2)
    assert "Traceback" not in said
    assert code or "--dry-run" in command
    assert snapshot(here) == before


def test_folder_with_pipes_and_huge_files_is_searched(here):
    Path(FILE).write_text(BASES[1], "utf-8")
    os.mkfifo("pipe.yaml")
    with Path("huge.yaml").open("wb") as file:
        file.truncate(10**12)
    assert run("check", ".") == (0, "1 file checked: no problems\n")

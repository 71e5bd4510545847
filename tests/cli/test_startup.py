"""Commands that only read, check or render answer at once: nothing heavy is imported."""

import json
import os
import subprocess
import sys

import pytest

from xlmgen import resources

HEAVY = ("torch", "numpy", "lightning", "tokenizers", "rich")
COMMANDS = (
    ["--help"],
    ["check", "families"],
    ["list"],
    ["explain", "predictor.order"],
    ["new", "families/mdlm/family.yaml", "--dry-run"],
)
SCRIPT = """
import json, sys
from xlmgen.cli import main
code = main(sys.argv[1:])
print("\\n" + json.dumps([code, sorted(set(%r) & set(sys.modules))]))
""" % (HEAVY,)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_heavy_is_imported(command):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command],
        cwd=resources.root(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def processor_seconds(command):
    """The least processor time that a command took, of several runs."""
    least = float("inf")
    for _ in range(5):
        before = os.times()
        subprocess.run(command, cwd=resources.root(), capture_output=True, check=True)
        after = os.times()
        spent = after.children_user + after.children_system
        least = min(least, spent - before.children_user - before.children_system)
    return least


@pytest.mark.slow
@pytest.mark.parametrize("command", [["--help"], ["check", "families"]], ids=" ".join)
def test_help_and_check_start_within_three_times_their_libraries(command):
    libraries = "import typer, yaml, jsonschema, jinja2"
    bare = processor_seconds([sys.executable, "-c", libraries])
    assert processor_seconds([sys.executable, "-m", "xlmgen", *command]) <= 3 * bare

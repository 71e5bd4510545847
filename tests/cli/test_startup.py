"""Commands that only read, check or render answer at once: they import little."""

import json
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
SCRIPT = f"""
import json, sys
from xlmgen.cli import main
code = main(sys.argv[1:])
print("\\n" + json.dumps([code, sorted({set(HEAVY)} & set(sys.modules))]))
"""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_heavy_is_imported(command):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command],
        cwd=resources.root(),
        capture_output=True,
        text=True,
        check=True,
    )
    code, heavy = json.loads(done.stdout.splitlines()[-1])
    assert heavy == []
    assert code != 2  # it ran; whether the families are in order is not asked here

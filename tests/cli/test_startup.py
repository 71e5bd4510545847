"""Commands that only read, check or render answer at once: they import little."""

import json
import subprocess
import sys

import pytest
import yaml

from xlmgen import resources
from xlmgen.cli.check import check_paths

HEAVY = ("torch", "numpy", "lightning", "tokenizers", "rich")
COMMANDS = (
    ["--help"],
    ["init", "nowhere", "--dry-run"],
    ["check", "families"],
    ["list"],
    ["explain", "predictor.order"],
    ["data", "--help"],
    ["review", "--against", "HEAD", "families/mdlm"],
    ["new", "families/mdlm/family.yaml", "--dry-run"],
    ["update", "families/mdlm", "--dry-run"],
    ["migrate", "families/mdlm/family.yaml"],
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


def test_the_modules_of_other_commands_are_not_imported():
    script = (
        "import sys; from xlmgen.cli import main; main(['schemas', '--help']); "
        "print(*(name for name in sys.modules if name.startswith('xlmgen.cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.splitlines()[-1].split())
    shared = {"xlmgen.cli.report", "xlmgen.cli.formats"}
    assert imported == {"xlmgen.cli.schemas", *shared}


def test_a_check_reads_every_file_once(monkeypatch):
    """Also a family or a task that many experiments are held to."""
    texts, parse = [], yaml.parse

    def count(text, **options):
        texts.append(text)
        return parse(text, **options)

    monkeypatch.setattr(yaml, "parse", count)
    checked = check_paths([resources.root() / "families"])
    assert len(checked.files) > len(list(resources.root().glob("families/*")))
    experiments = [file for file in checked.files if file.parent.name == "experiments"]
    tasks = {yaml.safe_load(file.read_text())["task"] for file in experiments}
    assert len(texts) == len(set(texts)) == len(checked.files) + len(tasks)

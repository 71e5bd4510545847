"""How long the commands that only read take to answer, beside a bare import.

    python benchmarks/startup.py

Processor time, the least of several runs in turn, as a ratio to importing the four
libraries that reading and rendering need. The aim is 3 at most.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BARE = [sys.executable, "-c", "import typer, yaml, jsonschema, jinja2"]
COMMANDS = (
    ["--help"],
    ["check", "families"],
    ["list"],
    ["explain", "predictor.order"],
    ["new", "families/mdlm/family.yaml", "--out", "families", "--dry-run"],
)
RUNS = 7


def seconds(command: list[str]) -> float:
    """Processor time of one run of a command and its children."""
    before = os.times()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def main() -> None:
    print("| command | seconds | ratio |\n|---|---|---|")
    for command in COMMANDS:
        ours = [sys.executable, "-m", "xlmgen", *command]
        pairs = [(seconds(BARE), seconds(ours)) for _ in range(RUNS)]
        bare, own = (min(times) for times in zip(*pairs, strict=True))
        print(f"| `xlmgen {' '.join(command)}` | {own:.2f} | {own / bare:.1f} |")


if __name__ == "__main__":
    main()

"""How long a command takes to answer, and a run to make its first step."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

ROOT = Path(__file__).parents[2]
LIBRARIES = "import typer, yaml, jsonschema, jinja2"
"""What reading and rendering need."""
LIGHTNING = "import lightning"


@dataclass(frozen=True)
class Start:
    """One command.

    Args:
        name: in the table.
        ours: arguments of `python -m xlmgen`; `{folder}` is a new one.
        bare: the imports that it is compared with.
        peers: a script of the peer's environment that does the same, with arguments.
    """

    name: str
    ours: tuple[str, ...]
    bare: str = LIBRARIES
    peers: tuple[str, ...] = ()


STARTS = (
    Start("--help", ("--help",), peers=("xlm", "--help")),
    Start("check a family", ("check", "families/mdlm/family.yaml")),
    Start("check families", ("check", "families")),
    Start(
        "new --dry-run",
        ("new", "families/mdlm/family.yaml", "--out", "{folder}", "--dry-run"),
        peers=("xlm-scaffold", "--dry-run", "--output-dir", "{folder}", "some_model"),
    ),
    Start(
        "train, one step",
        (
            "train",
            "families/mdlm/experiments/star_tiny.yaml",
            "training.max_steps=1",
            "--run-dir",
            "{folder}/run",
        ),
        bare=LIGHTNING,
    ),
)
"""A run of one step also validates and saves: its first step is sooner. Where ours says
what it would write it has checked the spec and rendered it; the peer lists names."""


def commands(start: Start, peer: Path | None) -> dict[str, list[str]]:
    """By side, and what both are compared with."""
    found = {
        "bare": [sys.executable, "-c", start.bare],
        "ours": [sys.executable, "-m", "xlmgen", *start.ours],
    }
    if peer is not None and start.peers:
        script, *arguments = start.peers
        found["peer"] = [str(peer.parent / script), *arguments]
    return found


def spent(command: list[str]) -> dict[str, float]:
    """Seconds of one run of a command: as they pass, and of the processor.

    Bytecode is kept, as it is of anything installed, whatever the environment says.
    """
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        words = [word.replace("{folder}", folder) for word in command]
        wall, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True
        )
        wall, after = time.perf_counter() - wall, getrusage(RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    user = after.ru_utime - before.ru_utime
    system = after.ru_stime - before.ru_stime
    return {"seconds": wall, "processor_seconds": user + system}

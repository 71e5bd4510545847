"""Projects of `examples/` in a temporary folder, and commands that run in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from xlmgen.render import render
from xlmgen.spec.family import FamilySpec

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PYTEST = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--import-mode=importlib"]


def copy(name, tmp_path, monkeypatch):
    """Copy an example, and make it the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLES / name, folder)
    monkeypatch.chdir(folder)
    return folder


def run(*command, cwd=None, status=0):
    """Run a module, and return what it printed."""
    words = [sys.executable, "-m", *map(str, command)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def require_clean(family: FamilySpec, folder: Path) -> None:
    """Render a family into a folder; it must be formatted and pass the linter."""
    for path, content in render(family).items():
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).write_text(content, "utf-8")
    run("ruff", "format", "--check", "--isolated", folder, cwd=ROOT)
    run("ruff", "check", "--config", ROOT / "pyproject.toml", folder, cwd=ROOT)

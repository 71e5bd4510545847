"""Fixtures of property tests: number of examples, specs, an empty folder."""

import contextlib
import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from xlmgen.cli import main

MORE = "XLMGEN_EXAMPLES"
"""With a number in the environment: so many times the examples, new ones each time."""

SPECS = Path(__file__).parents[1] / "specs" / "positive"


def few(examples: int) -> settings:
    """Use a fixed set of examples, unless more are requested."""
    times = int(os.environ.get(MORE, "0"))
    return settings(
        max_examples=examples * (times or 1),
        derandomize=not times,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def run(*words: str) -> tuple[int, str]:
    """Run a command; return its exit code and all output to a UTF-8 pipe."""
    said = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(words)
    said.flush()
    return code, said.buffer.getvalue().decode("utf-8")


def snapshot(folder: Path) -> dict[str, bytes | str | None]:
    """Return the content of a folder: bytes, targets of links, None for folders."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Make an empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder

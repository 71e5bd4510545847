"""What the property tests share: how many examples, specs to begin with, a folder."""

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
    """So many examples, the same ones every time, unless more are asked for."""
    times = int(os.environ.get(MORE, "0"))
    return settings(
        max_examples=examples * (times or 1),
        derandomize=not times,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def run(*words: str) -> tuple[int, str]:
    """The exit code of a command, and all that it says to a pipe of UTF-8."""
    said = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(words)
    said.flush()
    return code, said.buffer.getvalue().decode("utf-8")


def snapshot(folder: Path) -> dict[str, bytes | str | None]:
    """All that stands in a folder: bytes, where links lead, and None for folders."""
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
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder

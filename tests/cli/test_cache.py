"""`xlmgen cache`: listed entries, confirmation, and files that are kept."""

import os
import time

import pytest

from xlmgen.cli import main
from xlmgen.data import cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Make two entries, one 40 days old, a draft, and foreign files."""
    root = tmp_path / "cache"
    monkeypatch.setenv("XLMGEN_CACHE", str(root))
    for about, content in (("new", "x" * 1500), ("old", "y")):
        folder = cache.entry(
            {"what": "examples", "x": about},
            lambda folder, content=content: (folder / "a.txt").write_text(content),
            about=about,
        )
    then = time.time() - 40 * 24 * 60 * 60
    os.utime(folder / "manifest.json", (then, then))
    (root / f".draft-{'0' * 32}").mkdir()
    (root / f".draft-{'0' * 32}" / "part").write_text("half")
    (root / "notes").mkdir()
    (root / "notes" / "mine.txt").write_text("mine")
    (root / ("f" * 32)).mkdir()  # called like ours, and without a manifest
    (root / ("f" * 32) / "mine.txt").write_text("mine")
    return root


def names(root):
    return sorted(path.name for path in root.iterdir())


def left(root):
    return sorted(found.about or found.what for found in cache.entries())


def test_list_shows_entries_of_xlmgen(capsys):
    assert main(["cache", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    by_task = {line.split()[1]: line for line in lines}
    assert "1.5 kB" in by_task["new"]
    assert "40 days ago" in by_task["old"]
    assert "unfinished" in by_task["–"]
    assert lines[-1].startswith("3 in ")
    assert main(["cache", "list", "--older-than", "30"]) == 0
    assert "new" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["clear"],
        ["clear", "--all", "--older-than", "3"],
        ["clear", "--all"],  # nobody is at the terminal
        ["list", "--all"],
        ["clean", "--all"],
    ],
)
def test_ambiguous_clear_removes_nothing(words, own_cache, capsys):
    before = names(own_cache)
    assert main(["cache", *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert names(own_cache) == before


def test_clear_asks_for_confirmation(own_cache, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code in (("no", 1), ("yes", 0)):
        monkeypatch.setattr("typer.confirm", lambda text, a=answer: a == "yes")
        assert main(["cache", "clear", "--all"]) == code
        assert ("nothing was removed" in capsys.readouterr().out) == (code == 1)
        assert len(cache.entries()) == (3 if code else 0)


def test_clear_by_age(own_cache, capsys):
    before = names(own_cache)
    assert main(["cache", "clear", "--older-than", "30", "--dry-run"]) == 0
    assert names(own_cache) == before
    assert main(["cache", "clear", "--older-than", "30", "--yes"]) == 0
    assert left(own_cache) == ["new", "unfinished"]
    assert main(["cache", "clear", "--older-than", "30", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "none"


def test_foreign_files_are_kept(own_cache):
    new = next(found for found in cache.entries() if found.about == "new")
    (new.path / "theirs.txt").write_text("theirs")
    (own_cache / ("e" * 32)).symlink_to(own_cache / "notes")
    assert main(["cache", "clear", "--all", "--yes"]) == 0
    assert names(own_cache) == sorted([new.path.name, "notes", "e" * 32, "f" * 32])
    assert [path.name for path in new.path.iterdir()] == ["theirs.txt"]
    assert (own_cache / "notes" / "mine.txt").read_text() == "mine"
    assert (own_cache / ("f" * 32) / "mine.txt").read_text() == "mine"

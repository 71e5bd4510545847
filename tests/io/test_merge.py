"""Three-way merges: changes of both sides, or a marked conflict."""

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlmgen.errors import UserError
from xlmgen.io.merge import marked_lines, merge

BASE = "".join(f"{n}\n" for n in range(1, 10))
LINES = st.lists(st.sampled_from(["a", "b", "c", "", "é", "\u2028", "=======", " x"]))


def lines(end):
    """Draw texts of few different lines, which give all sorts of merges."""
    return st.builds(
        lambda lines, last: end.join(lines) + (end if last else ""),
        LINES,
        st.booleans(),
    )


RENDERS = lines("\n")
FILES = lines("\n") | lines("\r\n")


def test_changes_of_different_lines_are_merged():
    yours, now = BASE.replace("2", "two"), BASE.replace("8", "eight")
    merged = merge(BASE, yours, now)
    assert merged.text == yours.replace("8", "eight")
    assert not merged.conflict


def test_lines_deleted_by_one_side_stay_deleted():
    yours, now = BASE.replace("2\n", ""), BASE.replace("8\n", "")
    assert merge(BASE, yours, now).text == "1\n3\n4\n5\n6\n7\n9\n"


def test_conflict_has_both_sides_and_base():
    merged = merge(BASE, BASE.replace("5", "yours"), BASE.replace("5", "now"))
    assert merged.conflict
    assert merged.text == BASE.replace(
        "5\n",
        "<<<<<<< yours\nyours\n||||||| rendered before\n5\n=======\nnow\n"
        ">>>>>>> rendered now\n",
    )
    assert marked_lines(merged.text) == [5]


def test_preferred_side_wins_conflict():
    yours = BASE.replace("5", "yours").replace("2", "two")
    merged = merge(BASE, yours, BASE.replace("5", "now"), prefer_now=True)
    assert merged.text == BASE.replace("5", "now").replace("2", "two")
    assert not merged.conflict


def test_every_conflict_and_lone_end_marker_is_found():
    yours, now = BASE.replace("2", "a").replace("8", "b"), BASE.replace("2", "c")
    now = now.replace("8", "d")
    assert marked_lines(merge(BASE, yours, now).text) == [2, 14]
    assert marked_lines("x\n>>>>>>> rendered now\n") == [2]
    assert marked_lines("Title\n=======\n>>> doctest\n") == []


def test_crlf_lines_are_kept():
    yours = BASE.replace("2", "zwei").replace("\n", "\r\n")
    merged = merge(BASE, yours, BASE.replace("8", "eight"))
    assert not merged.conflict
    assert merged.text == yours.replace("8", "eight")
    merged = merge(BASE, yours, BASE.replace("2", "two"))
    assert merged.conflict
    assert "\n" not in merged.text.replace("\r\n", "")


def test_missing_final_line_break_is_kept():
    merged = merge(BASE, BASE.removesuffix("\n"), BASE.replace("2", "two"))
    assert merged.text == BASE.replace("2", "two").removesuffix("\n")


def test_conflict_without_final_line_break_has_own_lines():
    merged = merge("a", "yours", "now")
    assert merged.text.splitlines() == [
        "<<<<<<< yours",
        "yours",
        "||||||| rendered before",
        "a",
        "=======",
        "now",
        ">>>>>>> rendered now",
    ]


@settings(max_examples=60, deadline=None)
@given(RENDERS, FILES)
def test_unchanged_side_gives_other_side(base, other):
    assert merge(base, other, base).text == other
    assert merge(base, base, other).text == other
    assert merge(base, other, other).text == other


@settings(max_examples=60, deadline=None)
@given(RENDERS, FILES, RENDERS)
def test_new_lines_of_both_sides_are_kept(base, yours, now):
    merged = set(merge(base, yours, now).text.replace("\r\n", "\n").split("\n"))
    for side in (yours, now):
        new = set(side.replace("\r\n", "\n").split("\n")) - set(base.split("\n"))
        assert new <= merged


def test_repository_and_git_settings_have_no_effect(tmp_path, monkeypatch):
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    (tmp_path / ".gitconfig").write_text("[merge]\nconflictStyle = nonsense\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no"))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert merge("a\n", "b\n", "c\n").conflict
    assert sorted(os.listdir(tmp_path)) == [".git", ".gitconfig"]


def test_binary_text_is_refused():
    with pytest.raises(UserError, match="binary"):
        merge("a\n", "\0b\n", "c\n")


def test_missing_git_is_reported(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(UserError, match="git"):
        merge("a\n", "b\n", "c\n")

"""Merging three ways: both sides' changes, or a marked conflict."""

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
    """Texts of few different lines, so that all sorts of merges come up."""
    return st.builds(
        lambda lines, last: end.join(lines) + (end if last else ""),
        LINES,
        st.booleans(),
    )


RENDERS = lines("\n")
FILES = lines("\n") | lines("\r\n")


def test_changes_in_different_places_come_together():
    yours, now = BASE.replace("2", "two"), BASE.replace("8", "eight")
    merged = merge(BASE, yours, now)
    assert merged.text == yours.replace("8", "eight")
    assert not merged.conflict


def test_what_one_side_deleted_stays_deleted():
    yours, now = BASE.replace("2\n", ""), BASE.replace("8\n", "")
    assert merge(BASE, yours, now).text == "1\n3\n4\n5\n6\n7\n9\n"


def test_changes_of_the_same_line_are_both_there_with_what_was_before():
    merged = merge(BASE, BASE.replace("5", "yours"), BASE.replace("5", "now"))
    assert merged.conflict
    assert merged.text == BASE.replace(
        "5\n",
        "<<<<<<< yours\nyours\n||||||| rendered before\n5\n=======\nnow\n"
        ">>>>>>> rendered now\n",
    )
    assert marked_lines(merged.text) == [5]


def test_one_side_may_be_preferred_where_both_change_the_same_line():
    yours = BASE.replace("5", "yours").replace("2", "two")
    merged = merge(BASE, yours, BASE.replace("5", "now"), prefer_now=True)
    assert merged.text == BASE.replace("5", "now").replace("2", "two")
    assert not merged.conflict


def test_every_conflict_is_found_and_a_lone_end_too():
    yours, now = BASE.replace("2", "a").replace("8", "b"), BASE.replace("2", "c")
    now = now.replace("8", "d")
    assert marked_lines(merge(BASE, yours, now).text) == [2, 14]
    assert marked_lines("x\n>>>>>>> rendered now\n") == [2]
    assert marked_lines("Title\n=======\n>>> doctest\n") == []


def test_a_text_of_crlf_lines_stays_one():
    yours = BASE.replace("2", "zwei").replace("\n", "\r\n")
    merged = merge(BASE, yours, BASE.replace("8", "eight"))
    assert not merged.conflict
    assert merged.text == yours.replace("8", "eight")
    merged = merge(BASE, yours, BASE.replace("2", "two"))
    assert merged.conflict
    assert "\n" not in merged.text.replace("\r\n", "")


def test_a_missing_last_line_break_stays_missing():
    merged = merge(BASE, BASE.removesuffix("\n"), BASE.replace("2", "two"))
    assert merged.text == BASE.replace("2", "two").removesuffix("\n")


def test_conflicts_at_an_end_without_line_break_stand_on_lines_of_their_own():
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
def test_where_one_side_changed_nothing_the_other_is_the_answer(base, other):
    assert merge(base, other, base).text == other
    assert merge(base, base, other).text == other
    assert merge(base, other, other).text == other


@settings(max_examples=60, deadline=None)
@given(RENDERS, FILES, RENDERS)
def test_no_new_line_of_either_side_is_lost(base, yours, now):
    merged = set(merge(base, yours, now).text.replace("\r\n", "\n").split("\n"))
    for side in (yours, now):
        new = set(side.replace("\r\n", "\n").split("\n")) - set(base.split("\n"))
        assert new <= merged


def test_neither_a_repository_nor_settings_of_git_matter(tmp_path, monkeypatch):
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    (tmp_path / ".gitconfig").write_text("[merge]\nconflictStyle = nonsense\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "no"))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert merge("a\n", "b\n", "c\n").conflict
    assert sorted(os.listdir(tmp_path)) == [".git", ".gitconfig"]


def test_what_git_cannot_merge_is_said():
    with pytest.raises(UserError, match="binary"):
        merge("a\n", "\0b\n", "c\n")


def test_without_git_the_user_is_told(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(UserError, match="git"):
        merge("a\n", "b\n", "c\n")

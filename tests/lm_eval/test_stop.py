"""Stop strings, and the error without the harness; need no lm_eval."""

import importlib.util

import pytest

from xlmgen.lm_eval import __main__
from xlmgen.lm_eval.stop import cut_at_stop, stop_strings


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        (["\n"], "one two"),
        (["one"], ""),
        (["two", "one two"], ""),
        (["two", " "], "one"),
        (["three"], "one two\nend"),
        ([], "one two\nend"),
    ],
)
def test_text_is_cut_before_the_first_stop(stops, expected):
    assert cut_at_stop("one two\nend", stops) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"until": ["a", "b"]}, ["a", "b"]),
        ({"until": "ab"}, ["ab"]),
        ({"until": ["a", ""]}, ["a"]),
        ({"until": None}, []),
        ({}, []),
    ],
)
def test_stops_are_a_text_or_a_list(options, expected):
    assert stop_strings(options) == expected


def test_missing_harness_is_one_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert __main__.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("is not installed; pip install 'xlmgen[lm-eval]'")

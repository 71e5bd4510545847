"""Paired differences of scores."""

import math

import pytest

from xlmgen.comparison.paired import paired


def rows(scores, prompt="p"):
    return [
        {"row": n, "prompt": prompt, "target": "t", "right": float(score)}
        for n, score in enumerate(scores)
    ]


def test_error_is_that_of_row_differences():
    # The harder half is hard for both: 10 rows, of which one differs.
    one, other = rows([1] * 6 + [0] * 4), rows([1] * 5 + [0] * 5)
    found = paired(one, other, "right")
    assert found.mean == pytest.approx(0.1)
    assert found.rows == 10
    # differences: one 1 and nine 0; their variance is (0.1 − 0.01) · 10 / 9 = 0.1
    assert found.error == pytest.approx(math.sqrt(0.1 / 10))
    assert paired(other, one, "right").mean == pytest.approx(-0.1)


def test_rows_are_matched_by_index():
    one, other = rows([1, 0, 1, 0]), rows([1, 0, 1, 0])
    found = paired(one, list(reversed(other))[:3], "right")
    assert (found.mean, found.error, found.rows) == (0, 0, 3)


def test_error_of_single_row_is_nan():
    assert math.isnan(paired(rows([1]), rows([0]), "right").error)


@pytest.mark.parametrize(
    "other", [[], rows([1], prompt="another"), [{"row": 0, "prompt": "p"}]]
)
def test_different_prompts_or_targets_have_no_difference(other):
    assert paired(rows([1]), other, "right") is None


def test_missing_score_has_no_difference():
    assert paired(rows([1]), rows([1]), "left") is None

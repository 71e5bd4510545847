"""Intervals of mean differences over seeds and examples."""

import math
from statistics import mean, stdev

import numpy as np
import pytest

from xlmgen.comparison.interval import (
    over_seeds,
    over_seeds_and_rows,
    student_quantile,
)

# Two-sided 95 % points in tables of Student's distribution.
TABLE = {
    1: 12.7062,
    2: 4.3027,
    3: 3.1824,
    5: 2.5706,
    10: 2.2281,
    30: 2.0423,
    100: 1.984,
}


@pytest.mark.parametrize(("freedom", "value"), TABLE.items())
def test_student_quantile_is_that_of_tables(freedom, value):
    assert student_quantile(freedom) == pytest.approx(value, abs=1e-4)


def test_student_quantile_becomes_normal():
    assert student_quantile(math.inf) == pytest.approx(1.959964, abs=1e-6)
    assert student_quantile(999.0) == pytest.approx(student_quantile(1001.0), rel=2e-3)


def test_interval_over_seeds_is_students():
    found = over_seeds([0.1, 0.2, 0.6])
    margin = 4.3027 * stdev([0.1, 0.2, 0.6]) / math.sqrt(3)
    assert found.mean == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - margin, abs=1e-5)
    assert found.high == pytest.approx(0.3 + margin, abs=1e-5)
    assert (found.seeds, found.rows) == (3, 0)


def test_single_seed_without_rows_has_no_interval():
    found = over_seeds([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_equal_rows_leave_the_interval_over_seeds():
    values = np.repeat([[0.1], [0.2], [0.6]], 40, axis=1)
    found, seeds = over_seeds_and_rows(values), over_seeds([0.1, 0.2, 0.6])
    assert (found.low, found.high) == pytest.approx((seeds.low, seeds.high))


def test_equal_seeds_leave_the_interval_over_rows():
    row = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    found = over_seeds_and_rows(np.stack([row, row, row]))
    margin = 1.959964 * row.std(ddof=1) / math.sqrt(8)
    assert found.mean == 3 / 8
    assert found.high - found.mean == pytest.approx(margin)


def test_one_seed_has_students_interval_over_rows():
    row = [0.0, 1.0, 1.0, 0.0]
    found = over_seeds_and_rows(np.array([row]))
    margin = 3.1824 * stdev(row) / 2
    assert found.high - mean(row) == pytest.approx(margin, abs=1e-4)
    assert (found.seeds, found.rows) == (1, 4)


def test_interval_has_the_mean_squares_of_a_two_way_table():
    values = np.array([[1.0, 5.0, 9.0], [2.0, 4.0, 15.0]])
    # Means of rows 5 and 7, of columns 1.5, 4.5 and 12, of all 6.
    between_seeds = 3 * (1 + 1) / 1
    between_rows = 2 * (4.5**2 + 1.5**2 + 6**2) / 2
    within = 2 * (0.5**2 + 1.5**2 + 2**2) / 2
    total = between_seeds + between_rows - within
    freedom = 1 * (total / between_seeds) ** 2
    margin = student_quantile(freedom) * math.sqrt(total / 6)
    found = over_seeds_and_rows(values)
    assert (found.low, found.high) == pytest.approx((6 - margin, 6 + margin))


def test_interval_covers_the_true_mean_as_often_as_it_says():
    generator = np.random.default_rng(1)
    trials, hits = 400, 0
    for _ in range(trials):
        seeds = generator.normal(size=(4, 1))
        rows = generator.normal(size=(1, 30)) * 3
        values = seeds + rows + generator.normal(size=(4, 30)) * 2
        found = over_seeds_and_rows(values)
        hits += found.low <= 0 <= found.high
    # 95 %, with a standard error of 1.1 %
    assert 0.92 < hits / trials < 0.985

"""Charts: means and bands over seeds, quality over passes, ticks."""

import math
from pathlib import Path
from statistics import mean, stdev

import pytest

from xlmgen.comparison.comparison import collect
from xlmgen.reports.chart import log_ticks, ticks
from xlmgen.reports.charts import learning_charts, mean_curve, quality_charts
from xlmgen.runs.run import Run

from .conftest import ROWS, answer


def compared(*names):
    return collect([Run.open(Path(name)) for name in names], "test")


def test_mean_and_error_need_all_seeds():
    curves = [
        [(1, 0.0), (2, 1.0)],
        [(1, 1.0), (2, 3.0), (3, 9.0)],
        [(2, 8.0), (1, 0.5)],
    ]
    first, second = mean_curve(curves)
    assert (first.x, first.y) == (1, 0.5)
    assert (second.x, second.y) == (2, 4.0)
    assert second.error == pytest.approx(stdev([1, 3, 8]) / math.sqrt(3))


def test_single_seed_has_no_error():
    (point,) = mean_curve([[(1, 0.5)]])
    assert math.isnan(point.error)


def test_learning_charts_are_of_scores_and_the_loss(four):
    exact, loss = learning_charts(compared(*four))
    assert (exact.key, loss.key) == ("learning-exact_match", "learning-loss")
    assert [line.name for line in exact.lines] == ["slow", "fast"]
    assert [(p.x, p.y, p.error) for p in exact.lines[0].points] == [
        (4, 0.25, 0),
        (8, 0.5, 0),
    ]
    assert [len(seed) for seed in exact.lines[0].seeds] == [2, 3]


def test_shares_are_drawn_from_0(make_run):
    make_run("a", curve=[(4, 0.0), (8, 0.0)])
    make_run("b", rate=0.5, curve=[(4, 0.25), (8, 0.5)])
    exact, loss = learning_charts(compared("b"))
    assert (exact.y_range, loss.y_range) == ((0, 0.5), (1.5, 1.75))
    (none, _) = learning_charts(compared("a"))
    assert none.y_range == (0, 1)


def test_value_that_is_not_finite_is_left_out(make_run):
    make_run("a", curve=[(4, 0.25), (8, math.nan), (12, 0.5)])
    exact, _ = learning_charts(compared("a"))
    assert [point.x for point in exact.lines[0].points] == [4, 12]


def test_quality_has_a_point_for_every_decoding(four):
    passes = {}
    for name, right in four.items():
        run = Run.open(Path(name))
        one = compared(name).evaluations[0]
        passes[name] = one.results["forward_passes"]
        answer(run.path, right + 5, "test-steps=9", forward_passes=9 * passes[name])
    (chart,) = quality_charts(compared(*four))
    slow = chart.lines[0]
    batches = math.ceil(ROWS / 16)  # of the stand-in's evaluation
    first = passes["slow-seed0"] / batches
    assert [point.x for point in slow.points] == [first, 9 * first]
    assert slow.points[1].y == pytest.approx(mean([15, 17]) / ROWS)
    assert slow.points[1].error == pytest.approx(1 / ROWS)


def test_decoding_of_one_seed_only_is_a_point_of_its_family(four):
    answer(Path("fast-seed1"), 30, "test-steps=9", forward_passes=1000)
    found = compared(*four)
    (chart,) = quality_charts(found)
    assert [(line.name, line.style, len(line.points)) for line in chart.lines] == [
        ("slow", 0, 1),
        ("fast", 1, 2),
    ]
    assert math.isnan(chart.lines[1].points[1].error)
    names = [found.group_name(group) for group in found.groups]
    assert names == ["slow", "fast", "fast steps=9"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.12, 0.38, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]),
        (3, 3, [1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]),
        (0, 0, [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6]),
    ],
)
def test_ticks_are_round_and_cover_the_range(low, high, expected):
    found = ticks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    if (low, high) != (3, 3):
        assert found == pytest.approx(expected)


def test_logarithmic_ticks_are_powers_of_two():
    assert log_ticks(1, 10) == [1, 2, 4, 8, 16]
    assert log_ticks(4, 4) == [4, 8]

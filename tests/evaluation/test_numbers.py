"""Numbers of results, as shown by the table and by model cards."""

import io
import math

from rich.console import Console

from xlmgen.evaluation.numbers import numbers
from xlmgen.evaluation.table import show_results

RESULTS = {
    "split": "test",
    "rows": 4,
    "step": 2,
    "weights": "ema",
    "loss": {
        "loss": 1.5,
        "data_perplexity": 4.25,
        "draws": 1,
        "standard_error": 0.125,
        "monte_carlo_error": 0.0,
    },
    "scores": {"numeric_match": 0.25, "rule_coverage": 0.5},
    "scores_error": {"numeric_match": 0.25, "rule_coverage": None},
    "samples": {"length_mean": 7.5, "unigram_entropy": 1.25, "mauve": 0.75},
    "data": {"length_mean": 8.0, "unigram_entropy": None},
}
SHOWN = [  # JSON has no NaN: null stands for it
    ("loss", "1.5000", "0.1250", ""),
    ("data_perplexity", "4.2500", "", ""),
    ("numeric match", "25.0 %", "25.0 %", ""),
    ("rule coverage", "50.0 %", "", ""),
    ("length_mean", "7.5000", "", "8.0000"),
    ("unigram_entropy", "1.2500", "", ""),
    ("mauve", "0.7500", "", ""),
]


def test_only_shares_are_shown_in_percent():
    found = list(numbers(RESULTS))
    cells = [(n.name, n.shown, n.error_shown, n.of_data_shown) for n in found]
    assert cells == SHOWN
    assert [n.value for n in found] == [1.5, 4.25, 0.25, 0.5, 7.5, 1.25, 0.75]
    assert math.isnan(found[5].of_data)


def table(results):
    console = Console(file=io.StringIO(), width=100)
    show_results(results, console)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_table_has_data_column_only_for_samples():
    lines = table(RESULTS)
    assert ["metric", "value", "±", "data"] in lines
    assert ["length_mean", "7.5000", "8.0000"] in lines
    rest = {key: RESULTS[key] for key in RESULTS if key not in ("samples", "data")}
    lines = table(rest)
    assert ["metric", "value", "±"] in lines
    assert not any("length_mean" in line for line in lines)


def test_counts_are_whole_numbers_and_other_values_are_not():
    results = {"samples": {"length_max": 1200, "length_mean": 2.0}}
    assert [number.shown for number in numbers(results)] == ["1,200", "2.0000"]

"""metrics.csv: one row per step, whatever happens between."""

import csv

from xlmgen.runs.metrics import read_rows
from xlmgen.training.metrics_file import MetricsFile


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_what_is_logged_for_one_step_is_one_row(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsFile(path)
    log.log_metrics({"train/loss": 2.0, "train/lr": 0.1}, 5)
    assert rows(path) == [["step", "train/loss", "train/lr"], ["5", "2.0", "0.1"]]
    log.log_metrics({"train/loss": 1.5, "train/lr": 0.1}, 10)
    log.log_metrics({"val/loss": 1.25, "val/exact_match": 0.5}, 10)
    log.log_metrics({"val/loss": 1.0}, 12)
    log.log_metrics({"train/loss": 1 / 3}, 15)
    log.log_metrics({"val/loss": 7e-9}, 15)
    assert rows(path) == [
        ["step", "train/loss", "train/lr", "val/loss", "val/exact_match"],
        ["5", "2.0", "0.1", "", ""],
        ["10", "1.5", "0.1", "1.25", "0.5"],
        ["12", "", "", "1.0", ""],
        ["15", repr(1 / 3), "", "7e-09", ""],
    ]


def test_a_continued_file_keeps_the_rows_up_to_the_checkpoint_once(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsFile(path)
    for step in (5, 10, 15):
        log.log_metrics({"train/loss": float(step)}, step)
    log.log_metrics({"val/loss": 3.0}, 15)
    log = MetricsFile(path, upto=10)
    log.log_metrics({"train/loss": 16.0}, 15)
    log.log_metrics({"train/loss": 21.0}, 20)
    assert [(row["step"], row["train/loss"]) for row in read_rows(path)] == [
        ("5", "5.0"),
        ("10", "10.0"),
        ("15", "16.0"),
        ("20", "21.0"),
    ]
    assert not any("val/loss" in row for row in read_rows(path))


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsFile(path)
    log.log_metrics({"train/loss": 2.0, "train/lr": 0.1}, 5)
    log.log_metrics({"train/loss": 1.0, "train/lr": 0.1}, 10)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-4], encoding="utf-8")
    assert [row["step"] for row in read_rows(path)] == ["5"]
    MetricsFile(path, upto=10).log_metrics({"train/loss": 1.0}, 11)
    assert [row["step"] for row in read_rows(path)] == ["5", "11"]


def test_no_file_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "metrics.csv") == []

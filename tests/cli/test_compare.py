"""`xlmgen compare`: tables of evaluations, and unfair comparisons."""

import csv
import io
import json
import math
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest
import yaml
from safetensors.numpy import load_file

from xlmgen.cli import main
from xlmgen.comparison.fairness import TRAINING
from xlmgen.comparison.interval import student_quantile
from xlmgen.experiment.settings import ROWS, Training
from xlmgen.runs.checkpoint_folder import WEIGHTS

# Settings of training that change how fast it is or what is written, and no weight.
NOT_COMPARED = {
    *("seed", "log_every", "validate_every", "checkpoint_every", "keep", "keep_every"),
    *("num_workers", "compile", "activation_checkpointing", "accelerator", "strategy"),
    *ROWS,
}


@pytest.fixture
def runs(project, capsys):
    """Make runs `a` and `b`, a copy; both are evaluated on the test split."""
    assert main(["train", "toy.yaml", "--run-dir", "a"]) == 0
    assert main(["eval", "a"]) == 0
    capsys.readouterr()
    shutil.copytree("a", "b")
    return project


def change(file, **values):
    """Change a run's copy of a YAML file: `training__seed=1`."""
    data = yaml.safe_load(file.read_text())
    for key, value in values.items():
        *above, last = key.split("__")
        place = data
        for part in above:
            place = place[part]
        place[last] = value
    file.write_text(yaml.safe_dump(data))


def answered(run, right, **loss):
    """Rewrite an evaluation of 41 rows, of which the first `right` are right."""
    file = run / "predictions" / "test.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        row["exact_match"] = float(row["row"] < right)
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    file = run / "results" / "test.json"
    results = json.loads(file.read_text())
    results["scores"]["exact_match"] = right / 41
    results["loss"] |= loss
    file.write_text(json.dumps(results))


def said(capsys, *arguments):
    code = main(["compare", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def row(out, start):
    """Return the cells of the first row with this beginning."""
    line = next(s for s in out.splitlines() if s.strip().startswith(start))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def numbers(out, **named):
    """Numbers of CSV by metric, in the rows that have these values."""
    return {
        line["metric"]: (float(line["value"]), float(line["error"] or "nan"))
        for line in csv.DictReader(io.StringIO(out))
        if all(line[key] == value for key, value in named.items())
    }


def test_runs_are_shown_with_scores_and_differences(runs, capsys):
    answered(runs / "a", 10, data_nll=0.5)
    answered(runs / "b", 12, data_nll_bound=0.75)
    code, out, _ = said(capsys, "a", "b")
    assert code == 0
    results = json.loads((runs / "a" / "results" / "test.json").read_text())
    assert row(out, "a ") == ["a", "b"]  # two runs of many metrics are columns
    assert row(out, "step") == ["step", "12", "12"]
    assert row(out, "nats per token")[1].startswith("0.5000")
    assert row(out, "nats per token")[2].startswith("≤ 0.7500")
    assert row(out, "passes") == ["passes", *[str(results["forward_passes"])] * 2]
    assert row(out, "exact match")[1].startswith("24.4 ±")  # 10 of 41
    less = out.partition("less a, on the rows of both")[2]
    # 2 of 41 rows differ: 4.9 ± √(2/41 · 39/41 / 40) · 100
    assert row(less, "b ")[:2] == ["b", "41"]
    assert "+4.9 ± 3.4 %" in row(less, "b ")
    assert "the same task, backbone and training for all" in out
    tables, _ = out.split("≤ and ≥ are for")  # notes are not wrapped in a pipe
    assert max(map(len, tables.splitlines())) <= 80


def test_decoding_options_of_a_run_are_rows(runs, capsys):
    assert main(["eval", "a", "predictor.max_new_tokens=1"]) == 0
    capsys.readouterr()
    code, out, _ = said(capsys, "a", "--format", "markdown")
    assert code == 0
    rows = [line.split(" | ")[:2] for line in out.splitlines() if line[:3] == "| a"]
    assert rows[:2] == [["| a", "12"], ["| a max_new_tokens=1", "12"]]
    assert rows[2:] == [["| a max_new_tokens=1", "41"]]  # the differences
    assert "less a, on the rows of both" in out
    assert "the same task" not in out  # one run has nothing to share


@pytest.mark.parametrize(
    ("file", "values", "part", "shown"),
    [
        ("experiment.yaml", {"training__learning_rate": 0.5}, "training", "0.5"),
        ("experiment.yaml", {"training__accumulate": 2}, "training", "16"),
        ("experiment.yaml", {"model__layers": 3}, "backbone", "3"),
        ("task.yaml", {"source__seed": 7}, "task", "7"),
    ],
)
def test_differing_settings_are_listed(runs, capsys, file, values, part, shown):
    change(runs / "b" / file, **values)
    code, out, _ = said(capsys, "a", "b")
    assert code == 0
    assert "not a fair comparison" in out
    assert row(out, f"{part}: ")[-1] == shown
    assert said(capsys, "a", "b", "--strict")[0] == 1


def test_settings_without_effect_on_training_are_fair(runs, capsys):
    values = {"training__log_every": 1, "training__compile": True, "name": "other"}
    change(runs / "b" / "experiment.yaml", **values)
    code, out, _ = said(capsys, "a", "b", "--strict")
    assert code == 0
    assert "settings that differ" not in out


def test_every_training_setting_is_compared_or_exempt():
    assert set(TRAINING) | NOT_COMPARED == {field.name for field in fields(Training)}
    assert not set(TRAINING) & NOT_COMPARED


def test_other_tokenizer_is_other_task(runs, capsys):
    file = runs / "b" / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    assert row(said(capsys, "a", "b")[1], "task: tokenizer.json")


def test_seeds_of_one_experiment_are_averaged(runs, capsys):
    shutil.copytree("a", "c")
    for name, seed, right in (("a", 0, 10), ("b", 1, 12), ("c", 2, 17)):
        change(runs / name / "experiment.yaml", training__seed=seed)
        answered(runs / name, right)
    _, out, _ = said(capsys, "a", "b", "c", "--strict", "--format", "json")
    found = json.loads(out)
    assert found["unfair"] == []
    weights = load_file(runs / "a" / "checkpoints" / "step=000012" / WEIGHTS)
    numbers = sum(tensor.size for tensor in weights.values())
    assert {one["parameters"] for one in found["evaluations"]} == {numbers}
    (group,) = found["seeds"]
    mean = group["means"]["exact_match"]
    assert mean["mean"] == pytest.approx(13 / 41)
    # 10, 12 and 17: a standard deviation of √13, of the mean of three √(13/3)
    assert mean["error"] == pytest.approx((13 / 3) ** 0.5 / 41)
    assert main(["eval", "c", "--checkpoint", "last"]) == 0  # and no seed more
    _, out, _ = said(capsys, "a", "b", "c")
    assert row(out.partition("means over seeds")[2], "a and 2 more")[1] == "3"


def seeds_of_two_settings(runs, right):
    """Make runs a0, a1, b0, b1 of two learning rates, with this number of answers."""
    for name, count in right.items():
        shutil.copytree("a", name)
        values = {"training__seed": int(name[1])}
        if name[0] == "b":
            values["training__learning_rate"] = 0.5
        change(runs / name / "experiment.yaml", **values)
        answered(runs / name, count)


def test_differences_over_seeds_are_paired_by_seed_and_example(runs, capsys):
    right = {"a0": 10, "a1": 12, "b0": 15, "b1": 19}
    seeds_of_two_settings(runs, right)
    _, out, _ = said(capsys, *right, "--format", "json")
    (found,) = json.loads(out)["seeds_less_first"]
    match = found["exact_match"]
    assert (match["seeds"], match["rows"]) == (2, 41)
    assert match["mean"] == pytest.approx((5 + 7) / 2 / 41)
    # Rows 10 to 11 differ for seed 0 only, 12 to 14 for both, 15 to 18 for seed 1 only.
    table = [[10 <= r < 15 for r in range(41)], [12 <= r < 19 for r in range(41)]]
    of_seeds = [sum(line) / 41 for line in table]
    of_rows = [(a + b) / 2 for a, b in zip(*table, strict=True)]
    grand = sum(of_seeds) / 2
    between_seeds = 41 * sum((m - grand) ** 2 for m in of_seeds)
    between_rows = 2 * sum((m - grand) ** 2 for m in of_rows) / 40
    rest = [
        (table[s][r] - of_seeds[s] - of_rows[r] + grand) ** 2
        for s in (0, 1)
        for r in range(41)
    ]
    total = between_seeds + between_rows - sum(rest) / 40
    half = (match["high"] - match["low"]) / 2
    freedom = (total / between_seeds) ** 2
    assert half == pytest.approx(student_quantile(freedom) * math.sqrt(total / 82))
    _, out, _ = said(capsys, *right)
    assert "less a0 and 1 more, with 95 % confidence intervals" in out


def test_likelihoods_over_seeds_are_compared(runs, capsys):
    right = {"a0": 10, "a1": 12, "b0": 15, "b1": 19}
    seeds_of_two_settings(runs, right)
    values = {"a0": 1.0, "a1": 1.5, "b0": 0.5, "b1": 0.75}
    for name, nats in values.items():
        key = "data_nll" if name[0] == "a" else "data_nll_bound"
        answered(runs / name, right[name], **{key: nats})
        lines = [
            {
                "row": r,
                "example": f"{r}",
                "nats": nats * (3 + r % 2),
                "tokens": 3 + r % 2,
            }
            for r in range(41)
        ]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (runs / name / "results" / "test.rows.jsonl").write_text(text)
    _, out, _ = said(capsys, *right, "--format", "json")
    data = json.loads(out)
    means = [group["means"]["nats"] for group in data["seeds"]]
    assert [m["mean"] for m in means] == pytest.approx([1.25, 0.625])
    assert [m["error"] for m in means] == pytest.approx([0.25, 0.125])
    assert [group["bound"] for group in data["seeds"]] == [False, True]
    (found,) = data["seeds_less_first"]
    assert found["nats"]["mean"] == pytest.approx(-0.625)
    assert (found["nats"]["seeds"], found["nats"]["rows"]) == (2, 41)
    _, out, _ = said(capsys, *right)
    assert row(out.partition("means over")[2], "nats per token") == [
        "nats per token",
        "1.2500 ± 0.2500",
        "≤ 0.6250 ± 0.1250",
    ]
    assert row(out.partition("less ")[2], "nats per token")[1].startswith("≤ −0.6250 [")


def test_csv_has_one_line_per_number(runs, capsys):
    right = {"a0": 10, "a1": 12, "b0": 15}
    seeds_of_two_settings(runs, right)
    _, out, _ = said(capsys, *right, "--format", "csv")
    one = numbers(out, table="evaluation", run="a1")
    assert one["exact_match"][0] == pytest.approx(12 / 41)
    mean = numbers(out, table="mean", run="a0 and 1 more", seeds="2")
    assert mean["exact_match"] == pytest.approx((11 / 41, 1 / 41))
    less = numbers(out, table="difference", run="b0", seeds="1", rows="41")
    assert less["exact_match"][0] == pytest.approx(5 / 41)


def test_latex_is_escaped(runs, capsys):
    shutil.copytree("a", "a_b%$#&{}~^\\input{x}")
    change(runs / "a" / "experiment.yaml", training__learning_rate=0.5)
    _, out, _ = said(capsys, "a", "a_b%$#&{}~^\\input{x}", "--format", "latex")
    assert "\\begin{tabular}{lrr" in out
    assert out.count("\\toprule") == out.count("\\bottomrule") == 2
    name = r"a\_b\%\$\#\&\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}input"
    assert name in out
    assert "\\input" not in out.replace("\\textbackslash{}input", "")
    head = next(line for line in out.splitlines() if line.startswith("run &"))
    first = next(line for line in out.splitlines() if line.startswith("a &"))
    assert head.count("&") == first.count("&")
    assert r"\%" in first


def test_runs_with_other_settings_or_code_are_not_averaged(runs, capsys):
    change(runs / "b" / "experiment.yaml", training__seed=1)
    code = runs / "b" / "families" / "toy" / "__init__.py"
    code.write_text(f"{code.read_text()}\n# edited\n")
    assert "means over seeds" not in said(capsys, "a", "b")[1]


def test_run_without_evaluation_is_reported(runs, capsys):
    shutil.rmtree(runs / "b" / "results")
    code, out, _ = said(capsys, "a", "b")
    assert code == 0
    assert "b was not measured on the split test: xlmgen eval b" in out


def test_comparison_uses_common_rows(runs, capsys):
    shutil.rmtree(runs / "b" / "results")
    assert main(["eval", "b", "--limit", "7"]) == 0
    capsys.readouterr()
    _, out, _ = said(capsys, "a", "b")
    assert row(out.partition("less a")[2], "b limit=7")[1] == "7"
    assert "measured on different numbers of rows" in out


def test_many_metrics_are_listed_with_those_of_the_data(runs, capsys):
    file = runs / "a" / "results" / "test.json"
    results = json.loads(file.read_text())
    results["samples"] = {f"number_{n}": n + 0.25 for n in range(9)}
    results["data"] = {"number_3": 4.5}
    file.write_text(json.dumps(results))
    _, out, _ = said(capsys, "a", "b")
    assert row(out, "a ") == ["a", "b", "data"]
    assert row(out, "number 3") == ["number 3", "3.2500", "4.5000"]
    assert row(out, "number 8") == ["number 8", "8.2500"]
    assert row(out, "step") == ["step", "12", "12"]


def test_markdown_has_the_same_numbers(runs, capsys):
    answered(runs / "a", 10)
    _, out, _ = said(capsys, "a", "b", "--format", "markdown")
    lines = out.splitlines()
    first = next(line for line in lines if line.startswith("| a |"))
    assert "| 24.4 ±" in first
    header = lines[lines.index(first) - 2]
    assert header.count("|") == first.count("|")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--split", "validation"], "none of these runs was measured"),
        (["a", "./a"], "is named twice"),
        (["a", "nowhere"], "there is no run folder nowhere"),
    ],
)
def test_uncomparable_runs_are_one_line(runs, capsys, arguments, message):
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("place", ["results/test.json", "predictions/test.jsonl"])
def test_damaged_files_are_one_line(runs, capsys, place):
    (runs / "b" / place).write_text("{")
    code, _, err = said(capsys, "a", "b")
    assert code == 2
    assert place in err
    assert len(err.splitlines()) == 1


def test_names_are_shown_literally(runs, capsys):
    shutil.copytree("a", "[bold]a:smile:|b")
    _, out, _ = said(capsys, "a", "[bold]a:smile:|b")
    assert "[bold]a:smile:|b" in row(out, "a ")
    _, out, _ = said(capsys, "a", "[bold]a:smile:|b", "--format", "markdown")
    assert "| \\[bold\\]a:smile:\\|b | 12 |" in out


def test_missing_value_is_null(runs, capsys):
    for name in ("a", "b"):
        shutil.rmtree(runs / name / "results")
        assert main(["eval", name, "--limit", "1"]) == 0
    capsys.readouterr()
    _, out, _ = said(capsys, "a", "b", "--format", "json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert found["less_first"][0]["exact_match"] == {
        "mean": 0.0,
        "error": None,
        "rows": 1,
    }


def test_compare_does_not_import_torch(runs):
    script = (
        "import sys; from xlmgen.cli import main; main(['compare', 'a', 'b']); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_runs_of_equal_names_are_shown_by_path(runs, capsys):
    shutil.copytree("a", "elsewhere/a")
    _, out, _ = said(capsys, "a", "elsewhere/a")
    assert row(out, "elsewhere/a ")

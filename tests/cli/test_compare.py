"""`xlmgen compare`: tables of evaluations, and unfair comparisons."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest
import yaml
from safetensors.numpy import load_file

from xlmgen.cli import main
from xlmgen.comparison.fairness import TRAINING
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


def test_runs_are_shown_with_scores_and_differences(runs, capsys):
    answered(runs / "a", 10, data_nll=0.5)
    answered(runs / "b", 12, data_nll_bound=0.75)
    code, out, _ = said(capsys, "a", "b")
    assert code == 0
    results = json.loads((runs / "a" / "results" / "test.json").read_text())
    cells = row(out, "a ")
    assert cells[:3] == ["a", "12", "41"]
    assert "0.5000" in cells
    assert "≤ 0.7500" in row(out, "b ")
    assert cells[-1] == str(results["forward_passes"])
    assert any(cell.startswith("24.4 ±") for cell in cells)  # 10 of 41
    less = out.partition("less a, on the rows of both")[2]
    # 2 of 41 rows differ: 4.9 ± √(2/41 · 39/41 / 40) · 100
    assert row(less, "b ")[:3] == ["b", "41", "+4.9 ± 3.4 %"]
    assert "the same task, backbone and training for all" in out
    assert max(map(len, out.splitlines())) <= 150


def test_decoding_options_of_a_run_are_rows(runs, capsys):
    assert main(["eval", "a", "predictor.max_new_tokens=1"]) == 0
    capsys.readouterr()
    code, out, _ = said(capsys, "a")
    assert code == 0
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith(" a ")]
    assert rows[0][1] == "12"
    assert rows[1] == ["a", "max_new_tokens=1"]
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
    assert row(out.partition("means over seeds")[2], "a and others")[1] == "3"


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
    assert row(out, "[bold]a:smile:|b ")[1] == "12"
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

"""`xlmgen report`: the page has the numbers of the files, and escapes their texts."""

import csv
import io
import json
import math
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean, stdev

import pytest
import yaml

from xlmgen.cli import main
from xlmgen.reports.page import MARK

from .conftest import ROWS, answer, lines

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tables by heading, text, and tags of a page; tags must be closed."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.text, self.tags, self.paths = {}, "", [], []
        self._open, self._heading = [], ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.tags.append((tag, known))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h3":
            self._heading = ""
        if tag == "table":
            self.tables[self._heading] = []
        if tag == "tr":
            self.tables[self._heading].append([])
        if tag in ("td", "th"):
            self.tables[self._heading][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.text += data
        if "h3" in self._open:
            self._heading += data
        if self._open[-1:] in (["td"], ["th"]):
            self.tables[self._heading][-1][-1] += data

    def classes(self, name):
        return [a for _, a in self.tags if name in a.get("class", "").split()]


def said(capsys, *arguments):
    code = main(["report", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def page(capsys, *arguments):
    code, _, err = said(capsys, *arguments)
    assert code == 0, err
    return Page(Path("report.html").read_text("utf-8"))


def per_cent(values):
    shares = [100 * value / ROWS for value in values]
    return f"{mean(shares):.1f} ± {stdev(shares) / math.sqrt(len(shares)):.1f} %"


def test_means_and_errors_are_those_of_the_files(four, capsys):
    found = page(capsys, *four).tables[
        "Means over seeds, ± one standard error over seeds"
    ]
    assert found[0] == [
        "run",
        "seeds",
        "nats per token",
        "exact match",
        "passes per batch",
    ]
    rows = {row[0]: row for row in found[1:]}
    assert rows["slow"][1:4] == ["2", "1.1000 ± 0.1000", per_cent([10, 12])]
    assert rows["fast"][1:4] == ["2", "1.8000 ± 0.3000", per_cent([15, 21])]


def test_differences_are_those_of_compare(four, capsys):
    found = page(capsys, *four).tables["Less slow, with 95 % confidence intervals"]
    assert main(["compare", *four, "--format", "csv"]) == 0
    rows = csv.DictReader(io.StringIO(capsys.readouterr().out))
    one = next(
        r for r in rows if (r["table"], r["metric"]) == ("difference", "exact_match")
    )
    mean, low, high = (100 * float(one[key]) for key in ("value", "low", "high"))
    shown = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}] %".replace("-", "−")
    assert found[1][0] == "fast"
    assert found[1][found[0].index("exact match")] == shown
    assert mean == pytest.approx(100 * 7 / ROWS)


def test_settings_costs_commands_and_versions_are_shown(four, capsys):
    found = page(capsys, *four)
    settings = found.tables["Settings that differ"]
    assert ["training: learning_rate", "0.01", "0.01", "0.1", "0.1"] in settings
    costs = {row[0]: row for row in found.tables["Training compute, means over seeds"]}
    number = int(costs["slow"][1])
    # 12 steps of 50 tokens at 2 steps and 100 tokens per second
    assert costs["slow"][2:4] == ["12", "600"]
    assert float(costs["slow"][4]) == pytest.approx(6 * number * 600, rel=0.01)
    assert costs["slow"][5] == "0:00:06"
    note = "training compute is not equal: fast took 2.0 times the operations of slow"
    assert note in found.text
    assert "xlmgen eval slow-seed0 --split test" in found.text
    assert "torch 2." in found.text
    assert "devices: 1 (cpu), 32-true" in found.text
    assert "by seed and by example; intervals at 95 % are over both" in found.text


def test_equal_compute_has_no_note(make_run, capsys):
    for name in ("a", "b"):
        make_run(name, rate=0.1 if name == "a" else 0.2)
    assert "compute is not equal" not in page(capsys, "a", "b").text


def test_page_needs_nothing_but_itself(four, capsys):
    found = page(capsys, *four)
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe"}
    attributes = {key for _, known in found.tags for key in known}
    assert not attributes & {"src", "href", "xlink:href", "onload", "onerror"}
    assert "default-src 'none'" in Path("report.html").read_text()


def test_curves_have_the_validations_of_the_seeds(four, capsys):
    found = page(capsys, *four)
    # Two charts (score and loss), two lines each with two seeds.
    assert len(found.classes("seed")) == 8
    assert len(found.classes("band")) == 4
    points = sorted(known["d"].count("L") + 1 for known in found.classes("seed"))
    assert points == [2, 2, 2, 2, 3, 3, 3, 3]
    bands = {known["d"].count("L") + 1 for known in found.classes("band")}
    assert bands == {4}  # two steps that both seeds have, there and back


@pytest.mark.parametrize(
    "name", ["<script>alert(1)<", "a\"b'&amp;<b>", "x\x1b[31m\u202e"]
)
def test_names_and_texts_of_users_are_escaped(make_run, capsys, name):
    run, other = make_run(name), make_run("other", rate=0.5)
    hostile = "<img src=x onerror=alert(1)>"
    file = other / "predictions/test.jsonl"
    rows = [json.loads(line) for line in lines(file)]
    rows[0] |= {"prompt": hostile, "order": [[hostile, 1], ["</title><b>", 2]]}
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    versions = json.loads((run / "versions.json").read_text())
    changed = {"platform": hostile, "command": ["xlmgen", hostile]}
    (run / "versions.json").write_text(json.dumps(versions | changed))
    found = page(capsys, run.name, "other")
    text = Path("report.html").read_text("utf-8")
    assert not {tag for tag, _ in found.tags} & {"script", "img", "b"}
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert hostile in found.text


def test_orders_are_drawn_as_recorded(make_run, capsys):
    run = make_run("a")
    file = run / "predictions/test.jsonl"
    rows = [json.loads(line) for line in lines(file)]
    for row in rows:
        row.pop("order", None)
    rows[0]["order"] = [["x", 7], ["y", 2], ["z", 7]]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = page(capsys, "a")
    squares = found.classes("written")
    assert len(squares) == 3
    # y in the first row of the picture, x and z beside each other in the second
    assert squares[0]["y"] == squares[2]["y"] > squares[1]["y"]
    assert "x: step 7" in found.text
    rows[0]["order"] = [["x", "7"]]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    code, _, err = said(capsys, "a")
    assert code == 2
    assert "order is not a list of tokens and steps" in err
    assert len(err.splitlines()) == 1


def test_quality_is_drawn_where_decodings_differ(make_run, capsys):
    run = make_run("a")
    assert "Quality against" not in page(capsys, "a").text
    passes = json.loads((run / "results/test.json").read_text())["forward_passes"]
    answer(run, 20, "test-temperature=0.5", forward_passes=4 * passes)
    found = page(capsys, "a")
    assert "Quality against forward passes" in found.text
    assert len(found.classes("point")) == 2


def test_run_without_results_is_reported(make_run, capsys):
    run = make_run("a", curve=[(4, 0.25), (8, 0.5)])
    shutil.rmtree(run / "results")
    found = page(capsys, "a")
    assert "a was not measured on the split test: xlmgen eval a" in found.text
    assert list(found.tables) == ["Training compute, means over seeds"]
    assert len(found.classes("line")) == 4  # two charts: the line and its legend


def test_run_without_validation_or_throughput_is_reported(make_run, capsys):
    run = make_run("a")
    (run / "metrics.csv").unlink()
    (run / "throughput.csv").unlink()
    found = page(capsys, "a")
    assert "No validation was recorded." in found.text
    costs = found.tables["Training compute, means over seeds"]
    assert costs[1][2:] == ["", "", "", ""]


def test_single_seed_has_errors_over_rows(make_run, capsys):
    make_run("a", right=10, nats=0.5)
    found = page(capsys, "a").tables["Test split, ± one standard error over rows"]
    assert found[1][:4] == ["a", "1", "0.5000 ± 0.0000", "24.4 ± 1.0 %"]


def test_runs_of_several_tasks_are_apart(make_run, capsys):
    make_run("a")
    run = make_run("b")
    task = yaml.safe_load((run / "task.yaml").read_text())
    (run / "task.yaml").write_text(yaml.safe_dump(task | {"name": "other_task"}))
    found = page(capsys, "a", "b")
    assert "Task toy_task" in found.text
    assert "Task other_task" in found.text


def test_report_replaces_only_a_report(make_run, capsys):
    make_run("a")
    page(capsys, "a")
    page(capsys, "a")
    Path("report.html").write_text("<html>mine</html>")
    code, out, err = said(capsys, "a")
    assert (code, out) == (2, "")
    assert "report.html is not a report of xlmgen; give another file" in err
    assert Path("report.html").read_text() == "<html>mine</html>"
    assert not list(Path().glob(".report*"))
    assert said(capsys, "a", "--out", "b.html")[0] == 0
    assert MARK in Path("b.html").read_text()


def test_sweep_is_reported_with_the_runs_that_have_begun(make_run, project, capsys):
    text = "spec: xlmgen/sweep/v1\nexperiments: [toy.yaml]\nseeds: [0, 1, 2]\n"
    Path("grid.yaml").write_text(text)
    code, _, err = said(capsys, "grid.yaml")
    assert code == 2
    assert "no run of the sweep grid.yaml has begun; start it with `xlmgen sweep" in err
    for seed in (0, 1):
        make_run(f"runs/grid/toy-seed{seed}", seed=seed)
    found = page(capsys, "grid.yaml")
    assert "Not begun yet: toy-seed2." in found.text
    assert "xlmgen sweep grid.yaml" in found.text
    code, _, err = said(capsys, "grid.yaml", "runs/grid/toy-seed0")
    assert code == 2
    assert "is a sweep, which is reported alone" in err


def test_sweep_is_reported_on_its_split(make_run, capsys):
    text = "spec: xlmgen/sweep/v1\nexperiments: [toy.yaml]\nsplit: validation\n"
    Path("grid.yaml").write_text(text)
    run = make_run("runs/grid/toy-seed0")
    answer(run, 20, "validation", split="validation")
    assert "Validation split, ± one standard" in page(capsys, "grid.yaml").text
    assert "Test split, ± one" in page(capsys, "grid.yaml", "--split", "test").text


def test_evaluations_are_named_by_their_commands(make_run, capsys):
    run = make_run("a")
    name = "test-limit=5-temperature=0.5-seed=3-gpt2-pseudo_likelihood"
    known = json.loads((run / "results/test.json").read_text())["predictor"]
    changed = {
        "predictor": known | {"temperature": 0.5},
        "seed": 3,
        "evaluator": "/models/gpt2",
        "pseudo_likelihood": {"pseudo_nll": 1.0},
    }
    answer(run, 5, name, **changed)
    command = (
        "xlmgen eval a predictor.temperature=0.5 --split test --limit 5 "
        "--pseudo-likelihood --evaluator /models/gpt2 --seed 3"
    )
    assert command in page(capsys, "a").text


@pytest.mark.parametrize("name", ["metrics.csv", "throughput.csv"])
def test_damaged_metrics_are_one_line(make_run, capsys, name):
    run = make_run("a")
    (run / name).write_text("step,val/exact_match,speed/steps_per_s\n4,x,y\n")
    code, out, err = said(capsys, "a")
    assert (code, out) == (2, "")
    assert f"{name} is damaged" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("path", ["nowhere", "toy.yaml"])
def test_path_that_is_no_run_is_one_line(project, capsys, path):
    code, out, err = said(capsys, path)
    assert (code, out) == (2, "") or code == 1
    assert len(err.splitlines()) <= 3
    assert not Path("report.html").exists()


def test_report_imports_no_torch(make_run):
    make_run("a")
    script = (
        "import sys; from xlmgen.cli import main; main(['report', 'a']); "
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.slow
def test_run_of_texts_is_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")  # that of another test's run
    words = "the cat sat on a mat and a dog ran to the big red house"
    Path("lines.txt").write_text("\n".join([words] * 40))
    files = dict.fromkeys(("train", "validation", "test"), "lines.txt")
    task = {
        "spec": "xlmgen/task/v1",
        "name": "words",
        "layout": "lm",
        "max_length": {"length": 20},
        "source": {"files": files},
        "tokenizer": {"kind": "whitespace"},
        "metrics": ["distinct_n"],
    }
    Path("words.yaml").write_text(yaml.safe_dump(task))
    experiment = {
        "spec": "xlmgen/experiment/v1",
        "name": "words",
        "family": "mdlm",
        "task": "./words.yaml",
        "size": "tiny",
        "training": {"max_steps": 4, "batch_size": 4, "accelerator": "cpu"},
        "evaluation": {"batch_size": 64, "generate": 4},
    }
    experiment["training"] |= {"validate_every": 2, "warmup_steps": 1}
    Path("run.yaml").write_text(yaml.safe_dump(experiment))
    assert main(["train", "run.yaml", "--run-dir", "run"]) == 0
    assert main(["eval", "run", "--limit", "8"]) == 0
    capsys.readouterr()
    found = page(capsys, "run")
    (row,) = found.tables["Test split, ± one standard error over rows"][1:]
    loss = json.loads(Path("run/results/test-limit=8.json").read_text())["loss"]
    assert row[2].startswith(f"≤ {loss['data_nll_bound']:.4f} ± ")
    assert len(found.classes("written")) > 0

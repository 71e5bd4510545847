"""The project `examples/own-kind/` works as docs/own-kinds.md describes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io.json_schema import validator
from xlmgen.render import render
from xlmgen.render.context import context, decisions
from xlmgen.spec.family import family_spec, read_family
from xlmgen.spec.load import load_yaml

from .own_project import EXAMPLES, PYTEST, ROOT, copy, require_clean, run

EXAMPLE = EXAMPLES / "own-kind"
PAGE = ROOT / "docs" / "own-kinds.md"
FENCES = {".json": "json", ".jinja": "jinja", ".yaml": "yaml"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy the example, and make it the current folder."""
    return copy("own-kind", tmp_path, monkeypatch)


def test_page_shows_files_verbatim():
    page = PAGE.read_text("utf-8")
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        assert path.relative_to(EXAMPLE).as_posix() in page
        assert f"```{FENCES[path.suffix]}\n{path.read_text('utf-8')}```\n" in page


def test_page_lists_template_variables():
    table = re.findall(r"^\| (`.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = set(re.findall(r"\w+", " ".join(table)))
    family = read_family(EXAMPLE / "comb.yaml")
    own = set(decisions(family)) - {"network"}  # what some kinds decide for themselves
    assert set(context(family)) - own <= told


def test_page_shows_output_of_check(project, capsys):
    assert main(["check", "comb.yaml"]) == 0
    assert f"```\n{capsys.readouterr().out}```\n" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("time", ["none", "adaln"])
@pytest.mark.parametrize("padding", ["predict", "ignore"])
def test_render_is_formatted_and_passes_linter(time, padding, tmp_path):
    text = (EXAMPLE / "comb.yaml").read_text("utf-8")
    text = text.replace("norm: rms", f"norm: rms, time: {time}")
    text = text.replace("padding: predict", f"padding: {padding}")
    family = family_spec(load_yaml(EXAMPLE / "comb.yaml", text))
    require_clean(family, tmp_path)
    predictor = tmp_path / "predictor_comb.py"
    assert ("self.schedule" in predictor.read_text("utf-8")) == (time == "adaln")


@pytest.mark.slow
def test_family_is_tested_trained_and_sampled_without_project(project, tmp_path):
    run("xlmgen", "check", "comb.yaml")
    run("xlmgen", "new", "comb.yaml")
    assert "no problems" in run("xlmgen", "check", "--strict")
    tests = project / "families" / "comb" / "tests" / "test_predictor_comb.py"
    told = run("pytest", tests, *PYTEST, cwd=tmp_path)  # from outside
    assert "passed" in told
    experiment = "families/comb/experiments/star_tiny.yaml"
    few = ["training.max_steps=10", "training.validate_every=10"]
    few += ["training.warmup_steps=1", "evaluation.generate=8"]
    run("xlmgen", "train", experiment, *few, "--run-dir", "run")
    moved = tmp_path / "moved"
    shutil.move("run", moved)
    shutil.rmtree(project / "schemas")
    command = ["xlmgen", "generate", moved, "--num", "2", "predictor.steps=2"]
    assert run(*command, cwd=tmp_path).count("answer") == 2


@pytest.mark.slow
def test_family_passes_tests_with_time_conditioned_network(project):
    spec = project / "comb.yaml"
    text = spec.read_text("utf-8").replace("norm: rms", "time: adaln")
    spec.write_text(text, "utf-8")
    assert main(["new", "comb.yaml"]) == 0
    options = ["-k", "not one_batch_is_learnt"]  # which the other test has
    run("pytest", "families/comb/tests/test_predictor_comb.py", *PYTEST, *options)


def test_own_suite_is_inherited(project):
    schema = project / "schemas" / "kinds" / "predictor" / "spaced.schema.json"
    text = schema.read_text("utf-8")
    schema.write_text(text.replace('"LearningTests"', '"my_suites.far:SpacedTests"'))
    test = render(read_family("comb.yaml"))["tests/test_predictor_comb.py"]
    assert "from my_suites.far import SpacedTests\n" in test
    assert "(PredictorTests, UnmaskingTests, SpacedTests)" in test


def test_editor_schemas_include_own_kind(project, monkeypatch):
    (project / "deeper").mkdir()
    monkeypatch.chdir(project / "deeper")
    assert main(["schemas"]) == 0
    monkeypatch.chdir(project)
    schema = json.loads(Path("schemas/family.schema.json").read_text("utf-8"))
    data = load_yaml("comb.yaml").data
    assert validator(schema).is_valid(data)
    data["predictor"]["stesp"] = 8
    assert not validator(schema).is_valid(data)
    assert main(["check", "comb.yaml", "--fix"]) == 0
    first = Path("comb.yaml").read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/family.schema.json"


def test_no_editor_schemas_for_invalid_kind(project, capsys):
    kind = project / "schemas" / "kinds" / "predictor" / "spaced.schema.json"
    kind.write_text("{")
    assert main(["schemas"]) == 1
    assert "XG401" in capsys.readouterr().err
    assert not (project / "schemas" / "family.schema.json").exists()

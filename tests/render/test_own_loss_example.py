"""The project `examples/own-loss/`: a loss whose bound the rendered tests prove."""

import html
import json
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.render import render
from xlmgen.spec.family import family_spec, read_family
from xlmgen.spec.load import load_yaml

from .own_project import PYTEST, copy, require_clean, run

SCHEMA = Path("schemas/kinds/loss/ratio_bound.schema.json")
TEMPLATE = Path("templates/family/loss/ratio_bound.py.jinja")
LOSS = Path("families/drift/loss_drift.py")
TEST = "families/drift/tests/test_loss_drift.py"
FEW = ["training.max_steps=4", "training.validate_every=4", "training.warmup_steps=1"]
ERRORS = {
    "noise of the entire vocabulary": ("int(sum(self.ordinary))", "len(self.ordinary)"),
    "ratios of the clean token": ("true.gather(1, z[", "true.gather(1, x["),
    "weight of masked diffusion": ("alpha.clamp(min=1e-30)", "noise"),
    "no time weight": ('batch["time_weight"][row] * ', ""),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    return copy("own-loss", tmp_path, monkeypatch)


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("padding", ["predict", "ignore"])
def test_render_is_formatted_and_passes_linter(padding, project, tmp_path):
    text = Path("drift.yaml").read_text("utf-8")
    text = text.replace("padding: predict", f"padding: {padding}")
    require_clean(family_spec(load_yaml("drift.yaml", text)), tmp_path / "render")


def test_claim_gives_metrics_and_exact_answer_tests(project):
    files = render(read_family("drift.yaml"))
    assert '"sequence_nll_bound"' in files["metrics_drift.py"]
    assert "(LossTests, StateBoundTests)" in files["tests/test_loss_drift.py"]
    none = {"gives": "none", "metric": "divergence", "about": "Divergence of ratios"}
    edit(SCHEMA, '["bound"]', json.dumps([none]))
    files = render(read_family("drift.yaml"))
    assert 'return {"divergence": self.per_token()}' in files["metrics_drift.py"]
    assert "Divergence of ratios; no bound" in files["metrics_drift.py"]
    assert "(LossTests, StateMinimiserTests)" in files["tests/test_loss_drift.py"]


CLAIMS = {
    "no claim": ('  "x-likelihood": ["bound"],\n', "", "missing key 'x-likelihood'"),
    "another word": ('["bound"]', '["bounds"]', "'bounds' is not one of"),
    "no words for none": ('["bound"]', '[{"gives": "none"}]', "missing key 'metric'"),
    "a condition on the last": (
        *('["bound"]', '[{"gives": "bound", "capability": "time"}]'),
        "there may be none that applies",
    ),
    "an output that is not there": (
        *('["bound"]', '[{"gives": "bound", "count": "normaliser"}]'),
        "no output 'normaliser'; did you mean 'normalizer'?",
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_invalid_claim_is_reported(name, project, capsys):
    old, new, said = CLAIMS[name]
    edit(SCHEMA, old, new)
    assert main(["check", "drift.yaml"]) == 1
    out = capsys.readouterr().out
    assert f"{SCHEMA}:" in out
    assert "XG401" in out
    assert said in out


def test_claim_without_a_proof_is_reported(project, capsys):
    edit(SCHEMA, '["bound"]', '["exact"]')
    assert main(["check", "drift.yaml"]) == 1
    out = capsys.readouterr().out
    assert "drift.yaml:15:14  XG407  loss.kind: no suite proves" in out
    assert "objective:next_token" in out
    edit(SCHEMA, '["LossTests"]', '["LossTests", "my_suites.exact:ExactTests"]')
    assert main(["check", "drift.yaml"]) == 0


@pytest.mark.slow
def test_bound_is_proven_and_errors_are_caught(project):
    main(["new", "drift.yaml"])
    quick = ["-k", "not collated and not equals_entropy"]
    assert "passed" in run("pytest", TEST, *PYTEST, *quick)
    right = LOSS.read_text("utf-8")
    some = ["-k", "every_row_is or multiplied"]
    for old, new in ERRORS.values():
        edit(LOSS, old, new)
        told = run("pytest", TEST, *PYTEST, *some, status=1)
        assert "AssertionError" in told or "assert " in told
        LOSS.write_text(right, "utf-8")


@pytest.mark.slow
def test_own_loss_has_its_cell_in_evaluations_and_comparisons(project, capsys):
    main(["new", "drift.yaml"])
    experiment = "families/drift/experiments/star_tiny.yaml"
    few = [*FEW, "evaluation.generate=4", "evaluation.bound_samples=2"]
    run("xlmgen", "train", experiment, *few, "--run-dir", "run")
    run("xlmgen", "eval", "run", "--limit", "8")
    (results,) = Path("run/results").glob("*.json")
    loss = json.loads(results.read_text("utf-8"))["loss"]
    assert loss["data_nll_bound"] > 0
    told = run("xlmgen", "compare", "run", "--format", "csv")
    assert f"{loss['data_nll_bound']:.3f}"[:4] in told
    assert "true" in told.lower()  # the column `bound`
    run("xlmgen", "report", "run")
    page = html.unescape(Path("report.html").read_text("utf-8"))
    assert f"≤ {loss['data_nll_bound']:.4f}" in page

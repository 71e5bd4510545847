"""Losses of one's own that train insertions: their bounds are proven, too."""

import json
from pathlib import Path

import pytest

from xlmgen.cli import main

from .own_project import PYTEST, ROOT, run

ERRORS = {
    "insertion": {
        "no orders of insertion": (" - orders", ""),
        "mean over the answer": (
            "/ num_dropped.clamp(min=1)",
            '/ (batch["answer_length"] + 1)',
        ),
        "insertions counted alone": (
            '"num_decisions": num_decisions',
            '"num_decisions": num_dropped',
        ),
        "one softmax over all rows": (
            "segment_logsumexp(log_partition, row, rows)",
            "log_partition.logsumexp(0).expand(rows)",
        ),
    },
    "mask_and_insert": {
        "no time weight": ('self.insert.weight(t) * batch["time_weight"]', "1 / t"),
        "gaps of prompts": ('batch["insertable"], divergence', "x == x, divergence"),
        "twice the missing": ('batch["missing"].to(', '(2 * batch["missing"]).to('),
    },
}


@pytest.fixture(params=[("ilm", "insertion"), ("flexmdm", "mask_and_insert")])
def project(request, tmp_path, monkeypatch):
    """A family that ships, with its rendered loss as the template of an own kind."""
    name, kind = request.param
    monkeypatch.chdir(tmp_path)
    schema = json.loads((ROOT / f"schemas/kinds/loss/{kind}.schema.json").read_text())
    schema["properties"] = {"kind": {**schema["properties"]["kind"]}}
    schema["properties"]["kind"] |= {"const": "mine", "examples": ["mine"]}
    schema["x-likelihood"] = schema["x-likelihood"][-1:]
    schema["x-tests"] = ["LossTests"]
    folder = ROOT / "families" / name
    loss = (folder / f"loss_{name}.py").read_text("utf-8")
    loss = loss.replace(name.title(), "{{ Name }}").replace(f"_{name}", "_{{ name }}")
    for path, text in (
        ("schemas/kinds/loss/mine.schema.json", json.dumps(schema)),
        ("templates/family/loss/mine.py.jinja", loss),
        ("own.yaml", _own((folder / "family.yaml").read_text("utf-8"), name)),
    ):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, "utf-8")
    return kind


def _own(text, name):
    """The spec with the name `own` and the loss `mine`."""
    lines = text.replace(f"name: {name}", "name: own").splitlines()
    return "\n".join(
        "loss: {kind: mine}" if line.startswith("loss:") else line for line in lines
    )


@pytest.mark.slow
def test_bound_is_proven_and_errors_are_caught(project):
    assert main(["check", "own.yaml"]) == 0
    assert main(["new", "own.yaml"]) == 0
    test = "families/own/tests/test_loss_own.py"
    assert "passed" in run("pytest", test, *PYTEST)
    file = Path("families/own/loss_own.py")
    right = file.read_text("utf-8")
    for old, new in ERRORS[project].values():
        assert right.count(old) == 1, old
        file.write_text(right.replace(old, new), "utf-8")
        told = run("pytest", test, *PYTEST, "-x", "-k", "ound", status=1)
        assert "AssertionError" in told or "assert " in told
        file.write_text(right, "utf-8")

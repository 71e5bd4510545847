"""The project `examples/own-collator/`: batches with masked spans, and their suite."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml

from .own_project import PYTEST, copy, require_clean, run

COLLATOR = Path("families/spans/collator_spans.py")
TEST = Path("families/spans/tests/test_collator_spans.py")
ERRORS = {
    "rate of one token": ("1 - (1 - rate) ** (1 / 3)", "rate"),
    "tokens masked apart": (".unfold(1, 3, 1).any(2)", ".unfold(1, 3, 1)[:, :, 0]"),
    "prompt masked": ("clean.target_mask & covered", "covered"),
    "no span starts before the row": (
        "(u < start)",
        "(u < start).index_fill(1, torch.arange(2), False)",
    ),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    return copy("own-collator", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "options", ["length: 3", "length: 2, bos: true, eos: false, padding: ignore"]
)
def test_render_is_formatted_and_passes_linter(options, project, tmp_path):
    text = Path("spans.yaml").read_text("utf-8").replace("length: 3", options)
    require_clean(family_spec(load_yaml("spans.yaml", text)), tmp_path / "render")


@pytest.mark.slow
def test_suite_passes_and_errors_are_caught(project):
    main(["new", "spans.yaml"])
    assert "passed" in run("pytest", TEST, *PYTEST)
    right = COLLATOR.read_text("utf-8")
    for old, new in ERRORS.values():
        assert right.count(old) == 1
        COLLATOR.write_text(right.replace(old, new), "utf-8")
        told = run("pytest", TEST, *PYTEST, "-k", "Span or masked", status=1)
        assert "AssertionError" in told or "assert " in told
        COLLATOR.write_text(right, "utf-8")

"""The project `examples/own-schedule/`: a noise schedule that a family renders."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.render import render
from xlmgen.spec.family import family_spec, read_family
from xlmgen.spec.load import load_yaml

from .own_project import PYTEST, copy, require_clean, run

SCHEMA = Path("schemas/kinds/noise_schedule/exponential.schema.json")
SCHEDULE = Path("families/glide/schedule_glide.py")
TESTS = Path("families/glide/tests")
ERRORS = {
    "weight of the linear schedule": (
        "self.rate / torch.expm1(self.rate * t)",
        "1 / t",
    ),
    "derivative of the wrong sign": (
        "self.rate * torch.exp(-",
        "self.rate * torch.exp(",
    ),
    "noise that rounds to 0": (
        "torch.expm1(-self.rate * t)",
        "(torch.exp(-self.rate * t) - 1)",
    ),
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    return copy("own-schedule", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"order: random": "order: top_prob"},
        {
            "{kind: masking, rate: schedule, padding": "{kind: replacing, padding",
            "bidirectional,": "bidirectional, time: adaln,",
            "{kind: masked, weight: schedule}": "{kind: state_entropy}",
            "{kind: unmasking, order: random,": "{kind: resampling,",
        },
    ],
    ids=["unmasking", "confidence", "uniform"],
)
def test_render_is_formatted_and_passes_linter(changes, project, tmp_path):
    text = Path("glide.yaml").read_text("utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    family = family_spec(load_yaml("glide.yaml", text))
    require_clean(family, tmp_path / "render")
    loss = (tmp_path / "render" / "loss_glide.py").read_text("utf-8")
    assert "from .schedule_glide import GlideSchedule\n" in loss
    assert "runtime.noise" not in loss


def test_schedule_and_its_tests_are_rendered(project):
    files = render(read_family("glide.yaml"))
    assert "rate: float = 3.0" in files["schedule_glide.py"]
    assert (
        "class TestGlideSchedule(ScheduleTests):"
        in (files["tests/test_schedule_glide.py"])
    )
    assert "[schedule_glide.py](schedule_glide.py)" in files["README.md"]


def test_schedule_without_options_that_collators_read_is_refused(project, capsys):
    text = SCHEMA.read_text("utf-8")
    SCHEMA.write_text("".join(s for s in text.splitlines(True) if "_eps" not in s))
    assert main(["check", "glide.yaml"]) == 1
    out = capsys.readouterr().out
    assert "XG401" in out
    assert "'sampling_eps'" in out


@pytest.mark.slow
def test_schedule_is_proven_and_errors_are_caught(project):
    main(["new", "glide.yaml"])
    some = ["-k", "Schedule or Loss or ancestral or rates"]
    assert "passed" in run("pytest", TESTS, *PYTEST, *some)
    right = SCHEDULE.read_text("utf-8")
    for old, new in ERRORS.values():
        assert right.count(old) == 1
        SCHEDULE.write_text(right.replace(old, new), "utf-8")
        told = run("pytest", TESTS / "test_schedule_glide.py", *PYTEST, status=1)
        assert "AssertionError" in told
        SCHEDULE.write_text(right, "utf-8")

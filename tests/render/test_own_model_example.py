"""The project `examples/own-model/`: a network with an output head of its own."""

from pathlib import Path

import pytest
import torch

from xlmgen.cli import main
from xlmgen.spec.family import read_family
from xlmgen.testing.subject import import_family

from .own_project import PYTEST, copy, require_clean, run

TESTS = Path("families/globe/tests")


@pytest.fixture
def project(tmp_path, monkeypatch):
    return copy("own-model", tmp_path, monkeypatch)


def test_render_is_clean_and_its_head_has_unit_length(project):
    folder = project / "families" / "globe"
    require_clean(read_family("globe.yaml"), folder)
    model = import_family(folder).model(8, d_model=16, layers=1, num_heads=2)
    torch.testing.assert_close(model.head.weight.norm(dim=1), torch.ones(8))


@pytest.mark.slow
def test_family_passes_its_tests_trains_and_generates(project):
    main(["new", "globe.yaml"])
    some = ["-k", "Model or (Loss and not collated)"]
    assert "passed" in run("pytest", TESTS, *PYTEST, *some)
    few = ["training.max_steps=4", "training.validate_every=4"]
    few += ["training.warmup_steps=1", "evaluation.generate=4"]
    experiment = "families/globe/experiments/star_tiny.yaml"
    run("xlmgen", "train", experiment, *few, "--run-dir", "run")
    assert run("xlmgen", "generate", "run", "--num", "1").count("answer") == 1

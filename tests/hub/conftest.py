"""A run to share, and a stand-in for the Hub to share it through."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from xlmgen.cli import main

from .standin import WRITER, serving

TASK = """\
spec: xlmgen/task/v1
name: small
layout: seq2seq
max_length: {prompt: 11, answer: 5}
source:
  generator: star
  arms: 2
  nodes: {min: 3, max: 3}
  plan: 2
  vocabulary: 10
  sizes: {train: 60, validation: 9, test: 13}
tokenizer: {kind: vocabulary, range: 10}
metrics: [exact_match, token_accuracy]
"""
EXPERIMENT = """\
spec: xlmgen/experiment/v1
family: mdlm
task: ./small.yaml
size: tiny
model: {d_model: 16, layers: 1, num_heads: 2}
training:
  max_steps: 4
  batch_size: 4
  learning_rate: 1.0e-2
  validate_every: 2
  checkpoint_every: 2
  keep: null
  accelerator: cpu
evaluation: {batch_size: 16, generate: 0, bound_samples: 2}
loggers: []
"""


# The library hands files to its HTTP library in a way that this is about to drop.
QUIET = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(QUIET)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run of four steps with two checkpoints, and evaluations of both."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(TASK, "utf-8")
    (folder / "small-mdlm.yaml").write_text(EXPERIMENT, "utf-8")
    before = os.environ.get("XLMGEN_PINNED", "")
    with contextlib.chdir(folder):
        where = ("--run-dir", str(folder / "run"))
        assert main(["train", str(folder / "small-mdlm.yaml"), *where]) == 0
        assert main(["eval", "run", "--checkpoint", "4"]) == 0
        assert main(["eval", "run", "--checkpoint", "2"]) == 0
    os.environ["XLMGEN_PINNED"] = before
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of that run, `run` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def hub(tmp_path_factory, monkeypatch):
    """The stand-in, where `me` is logged in."""
    home = tmp_path_factory.mktemp("home")
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", WRITER)
        # read from the environment when the library was imported
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_HOME", str(home))  # and of processes
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        yield hub


@pytest.fixture
def pushed(run, hub, capsys):
    """The repository `me/star`, which holds the run."""
    assert main(["push", "run", "me/star", "--checkpoint", "4"]) == 0
    capsys.readouterr()
    return hub.repos["me/star"]

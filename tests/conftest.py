"""What every test shares: a cache of its own, away from the user's."""

import ipaddress
import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: how long an example takes says nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

STANDIN = Path(__file__).parent / "standin"

TASK = """\
spec: xlmgen/task/v1
name: toy_task
layout: seq2seq
max_length: {prompt: 11, answer: 5}
source:
  generator: star
  arms: 2
  nodes: {min: 3, max: 3}
  plan: 2
  vocabulary: 10
  sizes: {train: 200, validation: 37, test: 41}
tokenizer: {kind: vocabulary, range: 10}
metrics: [exact_match, token_accuracy]
"""

EXPERIMENT = """\
spec: xlmgen/experiment/v1
name: toy
family: toy
task: ./toy_task.yaml
size: tiny
training:
  max_steps: 12
  batch_size: 8
  learning_rate: 1.0e-2
  warmup_steps: 2
  log_every: 3
  validate_every: 6
  checkpoint_every: 4
  accelerator: cpu
evaluation: {batch_size: 16, generate: 10}
"""


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """Find no host but this one: where a network is half there, a look-up may hang."""
    real = socket.getaddrinfo

    def local_only(host, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host
        if name in (None, "", "localhost", socket.gethostname()) or is_address(name):
            return real(host, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, f"tests look up no host: {name}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", local_only)
        yield


def is_address(host):
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """One cache folder for the session, so that a task is prepared once."""
    before = os.environ.get("XLMGEN_CACHE")
    os.environ["XLMGEN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XLMGEN_CACHE"]
    else:
        os.environ["XLMGEN_CACHE"] = before


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A user's folder with a stand-in family, a small task and an experiment.

    `toy.yaml` trains in seconds; 37 validation and 41 test rows fill no batch evenly.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    shutil.copytree(STANDIN, tmp_path / "families", ignore=lambda *_: ["__pycache__"])
    (tmp_path / "toy_task.yaml").write_text(TASK, encoding="utf-8")
    (tmp_path / "toy.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def largest():
    """Within it: the bytes of the largest allocation, within operators too."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    class Largest:
        bytes = 0

        def __enter__(self):
            cpu = [ProfilerActivity.CPU]
            self.profile = profile(activities=cpu, profile_memory=True)
            self.profile.__enter__()

        def __exit__(self, *exception):
            torch.cpu.synchronize()
            self.profile.__exit__(*exception)
            self.bytes = max(e.self_cpu_memory_usage for e in self.profile.events())

    return Largest()

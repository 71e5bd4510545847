"""A disk that is full: said in one line, nothing half written, and the run goes on."""

import errno
import io
import os
import re
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run


class Full(io.FileIO):
    """A file on a disk that has room for so many bytes more."""

    room = 0

    def write(self, data):
        data = memoryview(data).cast("B")
        if len(data) and not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(data[: self.room])
        self.room -= written
        return written


@pytest.fixture
def fill(monkeypatch):
    """`with fill(NAME, opened, room):` the n-th file of that name finds a full disk."""

    @contextmanager
    def fill(name, opened, room):
        original, found = io.open, []

        def open_(file, mode="r", buffering=-1, *others, **options):
            at = "" if isinstance(file, int) else os.path.basename(os.fsdecode(file))
            if not re.match(rf"\.?{name}", at) or not set(mode) & set("wxa+"):
                return original(file, mode, buffering, *others, **options)
            found.append(file)
            raw = Full(file, mode.replace("b", ""))
            raw.room = room if len(found) >= opened else 1 << 30
            if buffering == 0:
                return raw
            kind = io.BufferedRandom if "+" in mode else io.BufferedWriter
            stream = kind(raw)
            if "b" in mode:
                return stream
            return io.TextIOWrapper(stream, *others, **options)

        with monkeypatch.context() as patch:
            patch.setattr(io, "open", open_)
            yield

    return fill


def train(*arguments):
    options = ("training.keep=null", "training.ema_decay=0.9", "--run-dir")
    return main(["train", "toy.yaml", *options, *arguments])


def tensors(folder):
    return {
        (file.name, name): tensor
        for file in Run.open(folder).checkpoint("last")[1].glob("*.safetensors")
        for name, tensor in load_file(file).items()
    }


@pytest.mark.parametrize(
    ("name", "opened", "room", "place", "step"),
    [
        (r"model\.safetensors", 2, 500, "checkpoints/step=000006", 4),
        (r"ema\.safetensors", 1, 0, "checkpoints/step=000004", 0),
        (r"state\.pt", 2, 0, "checkpoints/step=000006", 4),
        (r"state\.pt", 2, 3000, "checkpoints/step=000006", 4),
        (r"manifest\.json", 3, 20, "checkpoints/step=000008", 6),
        (r"best\.json", 2, 0, "checkpoints/best.json", 12),
        (r"metrics\.csv", 1, 0, "metrics.csv", 0),
        (r"metrics\.csv", 4, 5, "metrics.csv", 8),
        (r"events\.out", 3, 9, "tensorboard", None),  # by a thread: at any step
    ],
)
def test_the_run_ends_and_goes_on_when_there_is_room(
    project, capsys, fill, name, opened, room, place, step
):
    with fill(name, opened, room):
        code = train("run")
    out, err = capsys.readouterr()
    assert code == 1
    assert f"error: cannot write run/{place}: No space left on device; free d" in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in out + err
    point = Run.open("run").resume_point()
    assert not point.passed
    assert point.step == (point.step if step is None else step)
    then = "starts again from the beginning"
    if point.step:
        then = f"continues from step {point.step}"
    assert f"free disk space; then the same command {then}" in err
    assert not list((project / "run").rglob(".*"))
    assert train("run") == 0
    assert train("whole") == 0
    ours, theirs = tensors("run"), tensors("whole")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert read_rows(project / "run" / "metrics.csv") == read_rows(
        project / "whole" / "metrics.csv"
    )


def test_a_run_that_finds_no_room_at_all(project, capsys, fill):
    with fill(r"versions\.json", 1, 0):
        code = train("run")
    err = capsys.readouterr().err
    assert (code, "No space left on device; free disk space" in err) == (1, True)
    assert not (project / "run").exists()
    assert not list(project.glob(".run*"))

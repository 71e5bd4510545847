"""throughput.csv: speed without what is not training, and shares of a known peak."""

import csv
import io
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.runs.checkpoint import FolderCheckpoint
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.run import Run
from xlmgen.training import throughput as module
from xlmgen.training.harness import Harness
from xlmgen.training.peaks import peak_flops, peak_of
from xlmgen.training.train import train

ROWS, LENGTH, VOCABULARY, WIDTH = 8, 15, 15, 16
"""Of a batch of the stand-in: BOS and 10 of the prompt, 5 of the answer, less one."""


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only in training steps, validations and checkpoints."""
    now = [0.0]

    def takes(where, name, seconds):
        real = getattr(where, name)

        def taking(*args, **options):
            now[0] += seconds
            return real(*args, **options)

        monkeypatch.setattr(where, name, taking)

    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    takes(Harness, "training_step", 2.0)
    takes(Harness, "validation_step", 100.0)
    takes(FolderCheckpoint, "save_checkpoint", 1000.0)


def run(folder, *overrides):
    overrides = ["loggers=[]", *overrides]
    assert train(resolve("toy.yaml", overrides), Path(folder), Console(quiet=True)) == 0
    return Run.open(folder)


def numbers(made, name):
    return [float(row[name]) for row in read_rows(made.path / "throughput.csv")]


def test_speed_is_that_of_the_steps_alone(project, clock):
    every = ["training.log_every=2", "training.checkpoint_every=3"]
    made = run("a", *every, "training.validate_every=5")
    rows = read_rows(made.path / "throughput.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10, 12]
    assert numbers(made, "speed/steps_per_s") == [0.5] * 6
    assert numbers(made, "speed/rows_per_s") == [ROWS / 2] * 6
    lengths = [n / (ROWS / 2) for n in numbers(made, "speed/tokens_per_s")]
    assert lengths == pytest.approx([LENGTH] * 6)


def test_accumulated_batches_count_all(project, clock):
    made = run("a", "training.accumulate=4", "training.max_steps=3")
    assert numbers(made, "speed/steps_per_s") == [1 / 8]
    assert numbers(made, "speed/rows_per_s") == [ROWS / 2]


def test_batches_of_other_names_are_counted_as_steps_only(project, clock):
    """A kind of one's own may call its tokens anything."""
    package = project / "families" / "toy" / "__init__.py"
    text = package.read_text(encoding="utf-8")
    renamed = text.replace('{"input_ids": clean', '{"tokens": clean')
    renamed = renamed.replace('model(batch["input_ids"]).', 'model(batch["tokens"]).')
    package.write_text(renamed, encoding="utf-8")
    made = run("a", "training.max_steps=3")
    (row,) = read_rows(made.path / "throughput.csv")
    assert row.keys() == {"step", "speed/steps_per_s", "memory/peak_gib"}


def test_a_continued_run_writes_every_step_once(project):
    run("a", "training.max_steps=6")
    made = run("a")
    rows = read_rows(made.path / "throughput.csv")
    assert [int(row["step"]) for row in rows] == [3, 6, 9, 12]


def test_what_two_runs_cannot_share_stays_out_of_metrics_csv(project):
    with (run("a").path / "metrics.csv").open(encoding="utf-8") as file:
        columns = next(csv.reader(file))
    assert not [name for name in columns if name.startswith(("speed", "memory"))]


def test_there_is_no_share_of_a_peak_that_is_not_known(project):
    made = run("a", "training.max_steps=3")
    (row,) = read_rows(made.path / "throughput.csv")
    assert "speed/mfu" not in row
    assert 0.05 < float(row["memory/peak_gib"]) < 64
    assert peak_flops(torch.device("cpu"), "32-true") is None
    assert peak_of("NVIDIA GeForce GTX 1080", "bf16-mixed") is None


@pytest.mark.parametrize(
    ("name", "precision", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16-mixed", 989),
        ("NVIDIA H100 PCIe", "bf16-mixed", 756),
        ("NVIDIA A100-SXM4-80GB", "bf16-mixed", 312),
        ("NVIDIA A100-SXM4-80GB", "32-true", 19.5),
        ("NVIDIA L40S", "16-mixed", 362),
        ("NVIDIA L4", "bf16-mixed", 121),
        ("Tesla T4", "16-mixed", 65),
        ("Tesla T4", "bf16-mixed", None),
        ("Tesla V100-SXM2-16GB", "32-true", 15.7),
        ("NVIDIA H100 80GB HBM3", "64-true", None),
        ("NVIDIA GeForce RTX 4090", "bf16-mixed", 165),
        ("NVIDIA A10G", "bf16-mixed", None),
    ],
)
def test_peaks_go_by_the_name_of_the_device(name, precision, tera):
    assert peak_of(name, precision) == (None if tera is None else tera * 1e12)


def test_the_share_of_the_peak_counts_every_product_and_draws_nothing(
    project, clock, monkeypatch
):
    plain = run("plain", "training.max_steps=3")
    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e6)
    made = run("a", "training.max_steps=3")
    forward = 2 * ROWS * LENGTH * (WIDTH * WIDTH + WIDTH * VOCABULARY)
    share = 3 * forward / 2 / 1e6  # the backward pass is two more, in two seconds
    assert numbers(made, "speed/mfu") == [pytest.approx(share)]
    ours, theirs = (
        load_file(one.checkpoint("last")[1] / "model.safetensors")
        for one in (made, plain)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_rows(made.path / "metrics.csv") == read_rows(plain.path / "metrics.csv")


def test_what_cannot_be_counted_ends_no_training(project, monkeypatch):
    def fails(*_):
        raise RuntimeError("no formula")

    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e6)
    monkeypatch.setattr(module, "step_flops", fails)
    (row,) = read_rows(run("a", "training.max_steps=3").path / "throughput.csv")
    assert "speed/mfu" not in row


def test_the_lines_show_it(project, capsys, clock, monkeypatch):
    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e6)
    monkeypatch.setattr(module, "peak_memory", lambda _: 3 * 2**29)
    assert main(["train", "toy.yaml", "training.max_steps=6", "loggers=[]"]) == 0
    out = capsys.readouterr().out
    assert "  0.5 it/s  0:06 left  60 tokens/s  18 % MFU  1.5 GiB\n" in out


@pytest.mark.parametrize(
    ("columns", "shown", "left_out"),
    [(140, "60 tokens/s  18 % MFU  1.5 GiB", "…"), (72, "60 tokens/s", "MFU")],
)
def test_a_narrow_bar_leaves_out_what_matters_least(
    project, clock, monkeypatch, columns, shown, left_out
):
    monkeypatch.setattr(module, "peak_flops", lambda *_: 1e6)
    monkeypatch.setattr(module, "peak_memory", lambda _: 3 * 2**29)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=columns, no_color=True)
    settings = resolve("toy.yaml", ["loggers=[]", "training.max_steps=3"])
    train(settings, Path("a"), console)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).splitlines()
    last = [line for line in lines if "it/s" in line][-1]
    assert re.search(r"training ━+.* 3/3 loss \d\.\d{4}  0.5 it/s  0:00 left  ", last)
    assert shown in last
    assert left_out not in last

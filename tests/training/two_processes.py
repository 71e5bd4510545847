"""What one of two processes does, for `test_processes`: several runs in a row.

Processes take seconds to start, so that all is trained and measured by one pair of
them. What the test compares is in the run folders and in what is printed.
"""

import sys
from pathlib import Path

from rich.console import Console

from xlmgen.experiment import resolve
from xlmgen.training.train import train
from xlmgen.training.trainer import build_trainer  # noqa: F401

CONSOLE = Console(quiet=True)


def run(folder, *overrides):
    train(
        resolve("toy.yaml", ["training.devices=2", *overrides]), Path(folder), CONSOLE
    )


def main():
    half = ["training.batch_size=4", "training.keep=null", "model.dropout=0"]
    run("ddp", *half)
    run("ddp-again", *half, "training.max_steps=6")
    run("ddp-again", *half)
    for folder in sys.argv[1:]:
        run(folder, *half)
    sharded = [*half, "training.strategy=fsdp"]
    run("fsdp", *sharded)
    run("fsdp-again", *sharded, "training.max_steps=6")
    run("fsdp-again", *sharded)


main()

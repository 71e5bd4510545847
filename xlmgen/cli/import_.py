"""`xlmgen import`: start a run from a released checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.resolve import OVERRIDES
from xlmgen.terminal.output import say


def import_(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A folder with config.json, safetensors files and a tokenizer."
        ),
    ],
    overrides: OVERRIDES = None,
    experiment: Annotated[
        Path | None,
        typer.Option(
            help="The experiment to begin with it; by default the one on local text "
            "of the family that reads such checkpoints."
        ),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="The run folder; runs/NAME by default.")
    ] = None,
) -> int:
    """Start a run from the weights and tokenizer of a checkpoint.

    Parameter names and shapes are compared before anything is written. Pickled files
    are never read.

    Example: xlmgen import ./Dream-v0-Base-7B --run-dir runs/dream-7b
    """
    from xlmgen.exchange.read import default_experiment, import_checkpoint

    run = import_checkpoint(
        checkpoint,
        experiment or default_experiment(checkpoint),
        list(overrides or ()),
        run_dir,
        ["xlmgen", *sys.argv[1:]],
    )
    say(run.path)
    say()
    say("next:")
    say(f'  xlmgen generate {run.path} --prompt "…" --trace')
    say(f"  xlmgen train {run.path}/experiment.yaml --run-dir {run.path}")
    return 0

"""`xlmgen export`: write a run as a checkpoint for other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.eval_ import CHECKPOINT, RUN, WEIGHTS
from xlmgen.terminal.output import say


def export(
    run: RUN,
    out: Annotated[Path, typer.Argument(help="The folder to write; must not exist.")],
    shard_size: Annotated[
        str, typer.Option(help="Maximum size of one file, such as 5GB or 200MB.")
    ] = "5GB",
    checkpoint: CHECKPOINT = None,
    weights: WEIGHTS = None,
) -> int:
    """Write weights, configuration and tokenizer as a checkpoint.

    For families whose network has the parameter names of a released checkpoint.

    Example: xlmgen export runs/dream-text-tiny dream-tiny --shard-size 200MB
    """
    from xlmgen.exchange.write import export_run, parse_size
    from xlmgen.runs.run import Run

    exported = export_run(
        Run.open(run), out, parse_size(shard_size), checkpoint, weights
    )
    say(out)
    if exported.stored.averaged:
        say(exported.stored)
    for note in exported.notes:
        say(note)
    return 0

"""`xlmgen data`: show the examples and batches of an experiment."""

from __future__ import annotations

from typing import Annotated

import typer

from xlmgen.cli.eval_ import Split
from xlmgen.cli.flags import Format, print_json
from xlmgen.cli.resolve import EXPERIMENT, OVERRIDES
from xlmgen.runs.experiment import resolve_checked


def data(
    experiment: EXPERIMENT,
    overrides: OVERRIDES = None,
    split: Annotated[Split, typer.Option(help="Split to show.")] = Split.train,
    num: Annotated[
        int, typer.Option(min=1, help="Number of examples, and of rows of the batch.")
    ] = 3,
    row: Annotated[
        int, typer.Option(min=0, help="Index of the first example, from 0.")
    ] = 0,
    batch: Annotated[
        int,
        typer.Option(
            min=0,
            help="Which batch, from 0. Batch i of train is what training gets in step "
            "i + 1, or, with training.accumulate, in step i / accumulate + 1.",
        ),
    ] = 0,
    rank: Annotated[
        int,
        typer.Option(min=0, help="Device whose batch to show, with several devices."),
    ] = 0,
    format: Annotated[
        Format, typer.Option(help="Output format; json has all numbers and ids.")
    ] = Format.text,
) -> int:
    """Show what the model sees: lengths, examples, a training batch.

    Does not train; writes only to the data cache.

    Example: xlmgen data mdlm/star_tiny training.seed=1
    """
    from xlmgen.distributed.launch import check_alone
    from xlmgen.terminal.console import SafeConsole

    check_alone("xlmgen data")
    resolved = resolve_checked(experiment, overrides or ())

    from xlmgen.preview.preview import preview, to_data
    from xlmgen.preview.show import show

    found = preview(
        resolved, split=split.value, num=num, row=row, batch=batch, rank=rank
    )
    if format is Format.json:
        print_json(to_data(found))
    else:
        show(found, SafeConsole())
    return 0

"""`xlmgen generate`: sample from a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.eval_ import CHECKPOINT, OVERRIDES, RUN, SEED, WEIGHTS, open_run
from xlmgen.errors import UserError
from xlmgen.io.files import require_new


def generate(
    run: RUN,
    overrides: OVERRIDES = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="A prompt to answer; can be repeated."),
    ] = None,
    num: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of test prompts to answer beside their targets; 4 by default. "
            "For a task of texts: number of texts to generate.",
        ),
    ] = None,
    trace: Annotated[
        bool,
        typer.Option("--trace", help="Show the order in which tokens were generated."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also write the answers to this JSONL file, which must not exist."
        ),
    ] = None,
    checkpoint: CHECKPOINT = None,
    weights: WEIGHTS = None,
    seed: SEED = 0,
) -> int:
    """Generate from a trained run.

    Example: xlmgen generate runs/mdlm-star_tiny-tiny --num 4 --trace
    """
    from xlmgen.terminal.console import SafeConsole

    if prompt and num is not None:
        raise UserError("--prompt and --num exclude each other", "give one of them")
    if out is not None:
        require_new(out)
    opened = open_run(run, checkpoint, overrides or ())

    from xlmgen.distributed.processes import join
    from xlmgen.evaluation.predictor_options import predictor_options
    from xlmgen.evaluation.request import GenerationRequest
    from xlmgen.evaluation.sample import sample
    from xlmgen.runs.build import device_for

    join(device_for(opened.experiment.training))
    request = GenerationRequest(
        prompts=prompt or (),
        num=num or 4,
        trace=trace,
        checkpoint=checkpoint,
        weights=weights,
        predictor=predictor_options(overrides or ()),
        seed=seed,
        out=out,
    )
    sample(opened, request, SafeConsole())
    return 0

"""`xlmgen generate`: sample from a trained run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.eval_ import CHECKPOINT, OVERRIDES, RUN, SEED, WEIGHTS, open_run
from xlmgen.cli.flags import FORMAT, Format, print_json
from xlmgen.errors import UserError
from xlmgen.io.files import require_new


def generate(
    run: RUN,
    overrides: OVERRIDES = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            help="A prompt to answer; can be repeated. - reads one from each line of "
            "standard input."
        ),
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
    format: FORMAT = Format.text,
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

    from xlmgen.distributed.launch import is_first
    from xlmgen.distributed.processes import join
    from xlmgen.evaluation.predictor_options import predictor_options
    from xlmgen.evaluation.request import GenerationRequest
    from xlmgen.evaluation.sample import sample
    from xlmgen.runs.build import device_for

    join(device_for(opened.experiment.training))
    request = GenerationRequest(
        prompts=_with_input(prompt or ()),
        num=num or 4,
        trace=trace,
        checkpoint=checkpoint,
        weights=weights,
        predictor=predictor_options(overrides or ()),
        seed=seed,
        out=out,
    )
    if format is Format.json:
        if trace:
            raise UserError("--trace is text", "leave out --format json")
        rows = sample(opened, request, SafeConsole(quiet=True))
        if is_first():
            print_json(rows)
        return 0
    sample(opened, request, SafeConsole())
    return 0


def _with_input(prompts: Sequence[str]) -> list[str]:
    """Prompts, with the lines of standard input in place of `-`."""
    found: list[str] = []
    for prompt in prompts:
        found += sys.stdin.read().splitlines() if prompt == "-" else [prompt]
    if prompts and not found:
        raise UserError("standard input has no prompt", "write one on each line")
    return found

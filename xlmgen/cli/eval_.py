"""`xlmgen eval`: evaluate a trained run."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xlmgen.cli import completion
from xlmgen.cli.flags import FORMAT, Format, print_json
from xlmgen.runs.checkpoint_folder import Weights

if TYPE_CHECKING:
    from xlmgen.runs.run import Run

RUN = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="The run folder.", autocompletion=completion.runs
    ),
]
CHECKPOINT = Annotated[
    str | None,
    typer.Option(help="best (by validation loss), last or a step; best by default."),
]
OVERRIDES = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[predictor.KEY=VALUE]...",
        help="Options of the predictor, such as predictor.steps=16.",
        autocompletion=completion.predictor_overrides,
    ),
]
WEIGHTS = Annotated[
    Weights | None,
    typer.Option(
        help="raw, or ema: their average, which is the default where there is one."
    ),
]
SEED = Annotated[int, typer.Option(min=0, help="Seed of the sampling.")]


class Split(StrEnum):
    """Splits of a task."""

    train = "train"
    validation = "validation"
    test = "test"


def eval_(
    run: RUN,
    overrides: OVERRIDES = None,
    split: Annotated[Split, typer.Option(help="Which examples.")] = Split.test,
    checkpoint: CHECKPOINT = None,
    weights: WEIGHTS = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Number of rows, from the first; all by default."),
    ] = None,
    seed: SEED = 0,
    pseudo_likelihood: Annotated[
        bool,
        typer.Option(
            "--pseudo-likelihood",
            help="Also report the pseudo-likelihood: mask one token at a time and "
            "score it given all others.",
        ),
    ] = False,
    evaluator: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a language model of the transformers library: also report "
            "the perplexity of generated texts under it."
        ),
    ] = None,
    mauve: Annotated[
        bool,
        typer.Option("--mauve", help="Also compare samples and data by its states."),
    ] = False,
    format: FORMAT = Format.text,
) -> int:
    """Measure the loss or bound of a run and score its answers.

    Writes results/*.json and predictions/*.jsonl into the run folder.

    Example: xlmgen eval runs/mdlm-star_tiny-tiny predictor.steps=16
    """
    from xlmgen.terminal.console import SafeConsole

    opened = open_run(run, checkpoint, overrides or ())

    from xlmgen.distributed.launch import is_first
    from xlmgen.distributed.processes import join
    from xlmgen.evaluation.evaluate import evaluate
    from xlmgen.evaluation.predictor_options import predictor_options
    from xlmgen.evaluation.request import EvaluationRequest
    from xlmgen.evaluation.table import show_results
    from xlmgen.runs.build import device_for

    console = SafeConsole(
        quiet=not is_first(), stderr=format is Format.json
    )  # progress beside the results
    join(device_for(opened.experiment.training))
    request = EvaluationRequest(
        split=split.value,
        checkpoint=checkpoint,
        weights=weights,
        limit=limit,
        predictor=predictor_options(overrides or ()),
        seed=seed,
        pseudo_likelihood=pseudo_likelihood,
        evaluator=evaluator,
        mauve=mauve,
    )
    results = evaluate(opened, request, console)
    if format is Format.text:
        show_results(results, console)
    elif is_first():
        print_json(results)
    return 0


def open_run(path: Path, checkpoint: str | None, overrides: Sequence[str]) -> Run:
    """Open a run and check its YAML files and the overrides, without torch.

    Raises:
        SpecError: its experiment, task or family has problems.
        UserError: the run or checkpoint does not exist, or an override has a problem.
    """
    from xlmgen.evaluation.predictor_options import check_predictor
    from xlmgen.runs.run import Run

    run = Run.open(path)
    run.checkpoint(checkpoint)
    run.load_task()
    check_predictor(run, overrides)
    return run

"""`xlmgen eval` as a function: losses and answers of a whole split."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from xlmgen.data.datamodule import TRAINING_USES
from xlmgen.data.task import Task
from xlmgen.distributed import processes
from xlmgen.errors import UserError
from xlmgen.evaluation.bits import in_bits
from xlmgen.evaluation.data_tokens import per_data_token
from xlmgen.evaluation.evaluator import Evaluator, check_evaluator, check_mauve, mauve
from xlmgen.evaluation.generate import Answers, generate_answers
from xlmgen.evaluation.likelihood import Likelihood, measure_split
from xlmgen.evaluation.predictions import prediction_rows, write_jsonl
from xlmgen.evaluation.predictor_options import predictor_options
from xlmgen.evaluation.pseudo_likelihood import (
    measure_pseudo_likelihood,
    require_masked_tokens,
)
from xlmgen.evaluation.samples import data_ids, describe, samples_of
from xlmgen.evaluation.scores import (
    require_metrics,
    sample_metrics,
    score_rows,
    score_set,
)
from xlmgen.evaluation.variant import with_predictor
from xlmgen.registry import SPEC
from xlmgen.runs.build import build
from xlmgen.runs.checkpoint_folder import Weights
from xlmgen.runs.provenance import changed_code, changed_rows
from xlmgen.runs.run import Run
from xlmgen.runtime.nn import LanguageModel
from xlmgen.spec.family import read_family


def evaluate(
    run: Run,
    console: Console,
    *,
    split: str = "test",
    checkpoint: str | None = None,
    weights: Weights | None = None,
    limit: int | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    pseudo_likelihood: bool = False,
    evaluator: Path | None = None,
    with_mauve: bool = False,
) -> dict[str, Any]:
    """Measure the loss of a split, answer it, score the answers, and write it all down.

    Several processes share the batches; the results are those of one. The first scores
    all answers, and writes.

    Args:
        split: `validation` or `test` (or `train`).
        checkpoint, weights: see `Run.weights`.
        limit: the first so many rows only; all of them otherwise.
        overrides: `predictor.key=value`.
        seed: of the sampling.
        pseudo_likelihood: whether to mask every token alone, too.
        evaluator: folder of a language model to judge what is generated.
        with_mauve: whether to compare its states for samples and data, too.

    Returns:
        What `results/NAME.json` holds; the scores on the first process only.

    Raises:
        UserError: no such checkpoint, split or option, or a pseudo-likelihood of a
            family that has none.
    """
    if pseudo_likelihood:
        require_masked_tokens(read_family(run.family_folder / SPEC))
    task = run.load_task()
    require_samples(task, evaluator, with_mauve)
    require_metrics(task, task.metrics)
    if note := changed_code(run):
        console.print(note, style="yellow", soft_wrap=True)
    stored = run.weights(checkpoint, weights)
    options = predictor_options(overrides)
    family, numbers = with_predictor(run, options)
    parts = build(run, family=family, predictor=numbers, stored=stored)
    device = parts.load(stored.folder, stored.weights)
    scores_here = processes.rank() == 0
    judge = Evaluator.load(evaluator, device) if evaluator and scores_here else None
    examples = parts.task.examples(split)
    if note := changed_rows(run, parts.task):
        console.print(note, style="yellow", soft_wrap=True)
    rows = len(examples) if limit is None else min(limit, len(examples))
    own = -(-rows // processes.count())  # about so many are this process's
    settings = run.experiment.evaluation
    collator = parts.data.collator(TRAINING_USES[parts.task.layout], evaluation=True)

    with progress(console) as bar:
        work = bar.add_task("loss", total=None)
        likelihood = measure_split(
            parts.measure,
            parts.metrics,
            examples,
            collator,
            rows=rows,
            split=split,
            draws=settings.bound_samples,
            batch_size=settings.batch_size,
            device=device,
            after_batch=lambda done: bar.advance(work, done),
        )
        per_token = per_data_token(likelihood, examples, rows, parts.task.layout)
        results: dict[str, Any] = {
            "run": run.experiment.name,
            "split": split,
            "rows": rows,
            "step": stored.step,
            "weights": str(stored.weights),
            "predictor": {**run.experiment.predictor, **options},
            "seed": seed,
            "loss": loss_record(likelihood)
            | per_token
            | in_bits(per_token, parts.task, split, rows),
        }
        if pseudo_likelihood:
            work = bar.add_task("masked", total=own)
            pseudo = measure_pseudo_likelihood(
                cast(LanguageModel, parts.model),
                examples,
                collator,
                mask=parts.tokens.mask,
                rows=rows,
                batch_size=settings.batch_size,
                device=device,
                after_batch=lambda done: bar.advance(work, done),
            )
            results["pseudo_likelihood"] = {
                **pseudo.metrics,
                "standard_error": pseudo.standard_error,
            }
        if evaluator:
            results["evaluator"] = str(evaluator.resolve())
        name = result_name(
            split,
            checkpoint,
            weights,
            limit,
            options,
            seed,
            pseudo_likelihood,
            evaluator,
        )
        if parts.task.metrics or evaluator:
            work = bar.add_task("answers", total=own)
            answers = generate_answers(
                parts.model,
                parts.predictor,
                parts.data.predict_dataloader(split, limit),
                eos=parts.tokens.eos,
                device=device,
                seed=seed,
                after_batch=lambda done: bar.advance(work, done),
            )
            results["forward_passes"] = answers.forward_passes
            if scores_here:
                asked = [examples[row] for row in answers.rows]
                by_row = score_rows(parts.task, asked, answers.ids)
                results |= score_record(parts.task, asked, answers, by_row)
                if sample_metrics(parts.task) or judge:
                    results |= sample_record(
                        parts.task, split, answers, judge, with_mauve
                    )
                predictions = run.path / "predictions" / f"{name}.jsonl"
                lines = prediction_rows(parts.task, asked, answers.ids, by_row)
                write_jsonl(predictions, lines)
    if scores_here:
        run.write_results(name, results)
    return results


def require_samples(task: Task, evaluator: Path | None, with_mauve: bool) -> None:
    """Refuse an evaluator that there is nothing for, or that cannot be."""
    if with_mauve and not evaluator:
        raise UserError(
            "--mauve compares states of a language model",
            "name the folder of one with --evaluator, such as a copy of gpt2-large",
        )
    if not evaluator:
        return
    if task.layout != "lm":
        raise UserError(
            f"--evaluator judges whole texts, and task {task.name} has the layout "
            f"{task.layout}",
            "leave it off",
        )
    check_evaluator(evaluator)
    if with_mauve:
        check_mauve()


def progress(console: Console) -> Progress:
    """A bar in a terminal, nothing in a pipe."""
    return Progress(
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def loss_record(likelihood: Likelihood) -> dict[str, Any]:
    """The part of the results that says what the split costs, in nats per token."""
    return {
        **likelihood.metrics,
        "draws": likelihood.draws,
        "standard_error": likelihood.standard_error,
        "monte_carlo_error": likelihood.monte_carlo_error,
    }


def score_record(
    task: Task,
    asked: Sequence[Mapping[str, Any]],
    answers: Answers,
    by_row: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """The part of the results that says what the answers are worth, with its errors."""
    scores = score_set(task, asked, answers.ids, by_row)
    if not scores:
        return {}
    # what is one number of all rows has no error
    errors = {name: error(by_row.get(name, ())) for name in scores}
    return {"scores": scores, "scores_error": errors}


def sample_record(
    task: Task,
    split: str,
    answers: Answers,
    evaluator: Evaluator | None = None,
    with_mauve: bool = False,
) -> dict[str, Any]:
    """The part of the results that describes all samples, and as many rows of data."""
    samples = samples_of(task, answers.ids)
    data = samples_of(task, data_ids(task, split, len(answers.ids)))
    metrics = sample_metrics(task)
    found = {"samples": describe(samples, metrics), "data": describe(data, metrics)}
    if evaluator:
        found["samples"] |= evaluator.perplexity(samples.texts)
        found["data"] |= evaluator.perplexity(data.texts)
        if with_mauve:
            found["samples"]["mauve"] = mauve(evaluator, samples.texts, data.texts)
    return found


def error(values: Sequence[float]) -> float:
    """The standard error of the mean of some rows' scores."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def result_name(
    split: str,
    checkpoint: str | None,
    weights: Weights | None,
    limit: int | None,
    options: Mapping[str, Any],
    seed: int,
    pseudo_likelihood: bool,
    evaluator: Path | None,
) -> str:
    """Name of the files of an evaluation: what differs from the default is in it."""
    changed = {
        "checkpoint": checkpoint,
        "weights": weights,
        "limit": limit,
        **dict(sorted(options.items())),
        "seed": seed or None,
        "evaluator": evaluator and evaluator.resolve().name,
    }
    parts = [f"{key}={value}" for key, value in changed.items() if value is not None]
    parts += ["pseudo_likelihood"] if pseudo_likelihood else []
    return "-".join([split, *(re.sub(r"[^\w.=+]+", "_", part) for part in parts)])

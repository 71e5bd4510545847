"""Evaluate a run on a split: its loss, its answers and their scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any, Self, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from xlmgen.data.datamodule import TRAINING_USES
from xlmgen.data.task import Task
from xlmgen.distributed import processes
from xlmgen.errors import UserError
from xlmgen.evaluation.bits import in_bits
from xlmgen.evaluation.data_tokens import likelihood_rows, per_data_token
from xlmgen.evaluation.evaluator import Evaluator, check_evaluator, check_mauve, mauve
from xlmgen.evaluation.generate import Answers, generate_answers
from xlmgen.evaluation.likelihood import Likelihood, SplitRows, measure_split
from xlmgen.evaluation.predictions import prediction_rows, write_jsonl
from xlmgen.evaluation.pseudo_likelihood import (
    measure_pseudo_likelihood,
    require_masked_tokens,
)
from xlmgen.evaluation.request import LIKELIHOODS, EvaluationRequest
from xlmgen.evaluation.samples import data_ids, describe, samples_of
from xlmgen.evaluation.scores import (
    require_metrics,
    sample_metrics,
    score_rows,
    score_set,
)
from xlmgen.evaluation.variant import with_predictor
from xlmgen.registry import SPEC
from xlmgen.runs.build import Parts, build
from xlmgen.runs.provenance import changed_code, changed_rows
from xlmgen.runs.run import Run, Stored
from xlmgen.runtime.nn import LanguageModel
from xlmgen.spec.family import read_family


def evaluate(run: Run, request: EvaluationRequest, console: Console) -> dict[str, Any]:
    """Measure the loss of a split, answer it, score the answers, and write the results.

    All processes of a distributed run share the batches, and the results equal those of
    one process. The first process alone scores the answers and writes files.

    Returns:
        Contents of `results/NAME.json`; the scores on the first process only.

    Raises:
        UserError: the run has no such checkpoint, split or option, or the family has no
            pseudo-likelihood.
    """
    _check(run, request)
    evaluation = Evaluation.open(run, request, console)
    results = evaluation.header()
    with _progress(console) as bar:
        results["loss"] = evaluation.loss(_stage(bar, "loss"))
        own_rows = math.ceil(evaluation.rows.count / processes.count())
        if request.pseudo_likelihood:
            advance = _stage(bar, "masked", own_rows)
            results["pseudo_likelihood"] = evaluation.pseudo_likelihood(advance)
        if request.evaluator:
            results["evaluator"] = str(request.evaluator.resolve())
        if evaluation.parts.task.metrics or request.evaluator:
            results |= evaluation.answers(_stage(bar, "answers", own_rows))
    if processes.rank() == 0:
        run.write_results(request.result_name, results)
    return results


def _check(run: Run, request: EvaluationRequest) -> None:
    """Raise a `UserError` for a request that task or family cannot fulfil."""
    if request.pseudo_likelihood:
        require_masked_tokens(read_family(run.family_folder / SPEC))
    task = run.load_task()
    require_samples(task, request.evaluator, request.mauve)
    require_metrics(task, task.metrics)


@dataclass(frozen=True)
class Evaluation:
    """A run whose weights are loaded, and the rows to evaluate it on.

    Args:
        run: the run folder.
        request: settings of the evaluation.
        stored: the checkpoint whose weights the model has.
        parts: of the run, with the requested predictor.
        device: the device of the model.
        rows: of the split, up to the limit.
        evaluator: language model that scores generated texts; on the first process.
    """

    run: Run
    request: EvaluationRequest
    stored: Stored
    parts: Parts
    device: torch.device
    rows: SplitRows
    evaluator: Evaluator | None

    @classmethod
    def open(cls, run: Run, request: EvaluationRequest, console: Console) -> Self:
        """Load weights and rows; print notes on code or data changed since training."""
        if note := changed_code(run):
            console.print(note, style="yellow")
        stored = run.weights(request.checkpoint, request.weights)
        family, numbers = with_predictor(run, request.predictor)
        parts = build(run, family=family, predictor=numbers, stored=stored)
        device = parts.load(stored.folder, stored.weights)
        evaluator = None
        if request.evaluator and processes.rank() == 0:
            evaluator = Evaluator.load(request.evaluator, device)
        examples = parts.task.examples(request.split)
        if note := changed_rows(run, parts.task):
            console.print(note, style="yellow")
        limit = len(examples) if request.limit is None else request.limit
        rows = SplitRows(
            request.split,
            examples,
            parts.data.collator(TRAINING_USES[parts.task.layout], evaluation=True),
            count=min(limit, len(examples)),
            batch_size=run.experiment.evaluation.batch_size,
        )
        return cls(run, request, stored, parts, device, rows, evaluator)

    def header(self) -> dict[str, Any]:
        """The part of the results that identifies the evaluation."""
        return {
            "run": self.run.experiment.name,
            "split": self.request.split,
            "rows": self.rows.count,
            "step": self.stored.step,
            "weights": str(self.stored.weights),
            "predictor": {**self.run.experiment.predictor, **self.request.predictor},
            "seed": self.request.seed,
        }

    def loss(self, after_batch: Callable[[int], None]) -> dict[str, Any]:
        """The loss, and the likelihood per token of the data and in bits.

        Also writes the likelihood of every row beside the results.
        """
        likelihood = measure_split(
            self.parts.measure,
            self.parts.metrics,
            self.rows,
            draws=self.run.experiment.evaluation.bound_samples,
            device=self.device,
            after_batch=after_batch,
        )
        task, count = self.parts.task, self.rows.count
        per_token = per_data_token(likelihood, self.rows.examples, count, task.layout)
        if per_token and processes.rank() == 0:
            rows = likelihood_rows(likelihood, self.rows.examples, task.layout)
            file = f"{self.request.result_name}{LIKELIHOODS}"
            write_jsonl(self.run.path / "results" / file, rows)
        bits = in_bits(per_token, task, self.request.split, count)
        return loss_record(likelihood) | per_token | bits

    def pseudo_likelihood(self, after_batch: Callable[[int], None]) -> dict[str, Any]:
        """The pseudo-likelihood, with its error."""
        pseudo = measure_pseudo_likelihood(
            cast(LanguageModel, self.parts.model),
            self.rows,
            mask=self.parts.tokens.mask,
            device=self.device,
            after_batch=after_batch,
        )
        return {**pseudo.metrics, "standard_error": pseudo.standard_error}

    def answers(self, after_batch: Callable[[int], None]) -> dict[str, Any]:
        """Generate an answer to every row; the first process scores and writes them."""
        answers = generate_answers(
            self.parts.model,
            self.parts.predictor,
            self.parts.data.predict_dataloader(self.request.split, self.request.limit),
            eos=self.parts.tokens.eos,
            device=self.device,
            seed=self.request.seed,
            after_batch=after_batch,
        )
        record: dict[str, Any] = {"forward_passes": answers.forward_passes}
        if processes.rank() == 0:
            record |= self._score(answers)
        return record

    def _score(self, answers: Answers) -> dict[str, Any]:
        """Scores of all answers; writes `predictions/NAME.jsonl` on the way."""
        task, request = self.parts.task, self.request
        examples = [self.rows.examples[row] for row in answers.rows]
        by_row = score_rows(task, examples, answers.ids)
        record = score_record(task, examples, answers, by_row)
        if sample_metrics(task) or self.evaluator:
            evaluator, with_mauve = self.evaluator, request.mauve
            record |= sample_record(task, request.split, answers, evaluator, with_mauve)
        lines = prediction_rows(task, examples, answers.ids, by_row, answers.orders)
        folder = self.run.path / "predictions"
        write_jsonl(folder / f"{request.result_name}.jsonl", lines)
        return record


def require_samples(task: Task, evaluator: Path | None, with_mauve: bool) -> None:
    """Refuse an evaluator that is missing, unusable, or not applicable to the task.

    Raises:
        UserError: `with_mauve` without an evaluator, a task of another layout than
            `lm`, or a folder or package that is missing.
    """
    if with_mauve and not evaluator:
        raise UserError(
            "--mauve compares hidden states of a language model",
            "name the folder of one with --evaluator, such as a copy of gpt2-large",
        )
    if not evaluator:
        return
    if task.layout != "lm":
        raise UserError(
            f"--evaluator scores unprompted texts, and task {task.name} has the layout "
            f"{task.layout}",
            "remove the option",
        )
    check_evaluator(evaluator)
    if with_mauve:
        check_mauve()


def _progress(console: Console) -> Progress:
    """A progress bar in a terminal, nothing in a pipe."""
    return Progress(
        TextColumn("{task.description:<8}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _stage(bar: Progress, name: str, total: int | None = None) -> Callable[[int], None]:
    """Add a stage to the bar, and return the function that advances it by some rows."""
    stage = bar.add_task(name, total=total)
    return lambda rows: bar.advance(stage, rows)


def loss_record(likelihood: Likelihood) -> dict[str, Any]:
    """The `loss` part of the results, in nats per token, with its errors."""
    return {
        **likelihood.metrics,
        "draws": likelihood.draws,
        "standard_error": likelihood.standard_error,
        "monte_carlo_error": likelihood.monte_carlo_error,
    }


def score_record(
    task: Task,
    examples: Sequence[Mapping[str, Any]],
    answers: Answers,
    by_row: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """The `scores` part of the results, with standard errors."""
    scores = score_set(task, examples, answers.ids, by_row)
    if not scores:
        return {}
    # a metric of all rows together has no error over rows
    errors = {name: error(by_row.get(name, ())) for name in scores}
    return {"scores": scores, "scores_error": errors}


def sample_record(
    task: Task,
    split: str,
    answers: Answers,
    evaluator: Evaluator | None = None,
    with_mauve: bool = False,
) -> dict[str, Any]:
    """The `samples` part of the results, and the same numbers of as many data rows."""
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
    """Standard error of the mean of scores; NaN for fewer than two rows."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan

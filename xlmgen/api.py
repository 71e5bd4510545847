"""The Python interface: trained runs as objects, and training as a function."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xlmgen.data.task import Task
from xlmgen.data.task import load_task as load_task
from xlmgen.errors import UserError
from xlmgen.evaluation.evaluate import evaluate
from xlmgen.evaluation.generate import generate_examples
from xlmgen.evaluation.request import EvaluationRequest
from xlmgen.evaluation.scores import prompt_text
from xlmgen.evaluation.show_trace import written_tokens
from xlmgen.evaluation.text_likelihood import LogLikelihood, TextLikelihood
from xlmgen.evaluation.variant import with_predictor
from xlmgen.experiment import resolve
from xlmgen.registry import SPEC
from xlmgen.registry import load_family as load_family
from xlmgen.render import render_files
from xlmgen.runs.build import Parts, build
from xlmgen.runs.checkpoint_folder import Weights
from xlmgen.runs.metrics import read_rows
from xlmgen.runs.predictor import build_predictor
from xlmgen.runs.run import METRICS, Run, Stored
from xlmgen.spec.family import read_family
from xlmgen.terminal.console import SafeConsole
from xlmgen.training.train import train as run_training

__all__ = [
    "Answer",
    "LogLikelihood",
    "Model",
    "load",
    "load_family",
    "load_task",
    "render_family",
    "train",
]


@dataclass(frozen=True)
class Answer:
    """A generated answer.

    Args:
        prompt: its prompt; empty for an unconditional text.
        text: the answer.
        ids: token ids of the answer, without EOS.
        steps: the step that wrote each token of the answer, and its EOS if it has one,
            counted from 1; None without `trace`.
        forward_passes: of the batch that the answer was generated in.
    """

    prompt: str
    text: str
    ids: tuple[int, ...]
    steps: tuple[int, ...] | None
    forward_passes: int


@dataclass(frozen=True)
class Model:
    """A trained run with its weights, ready to generate and to be evaluated.

    Args:
        run: the run folder.
        stored: the checkpoint.
        parts: family, task, data, network, loss and predictor of the run.
        device: of the network: a GPU where there is one.
    """

    run: Run
    stored: Stored
    parts: Parts
    device: torch.device

    @property
    def network(self) -> nn.Module:
        """The PyTorch module, in evaluation mode.

        It maps token ids (B, L) to hidden states (B, L, D); `network.head` maps these
        to logits (B, L, V).
        """
        return self.parts.model

    @property
    def task(self) -> Task:
        """The task of the run; `task.tokenizer` encodes and decodes."""
        return self.parts.task

    @property
    def step(self) -> int:
        """Optimiser step of the weights."""
        return self.stored.step

    @property
    def metrics(self) -> list[dict[str, float]]:
        """Rows of the run's `metrics.csv`: `step`, `train/…`, `val/…`."""
        return [
            {name: float(value) for name, value in row.items()}
            for row in read_rows(self.run.path / METRICS)
        ]

    def generate(
        self,
        prompts: Sequence[str] | None = None,
        *,
        num: int = 1,
        seed: int = 0,
        trace: bool = False,
        **predictor: Any,
    ) -> list[Answer]:
        """Answer prompts, or generate texts.

        Args:
            prompts: texts to answer; for `infill`, sequences with [MASK] for each hole.
                Without any, `num` texts are generated for a task of layout `lm`.
            num: number of texts.
            seed: seed of the sampling.
            trace: record the step that wrote each token.
            predictor: options of the predictor, such as `steps=16`.

        Raises:
            UserError: the task needs prompts, a prompt cannot be encoded, or there is
                no such option.
        """
        task = self.task
        if prompts is None:
            if task.layout != "lm":
                raise UserError(
                    f"the task {task.name} needs prompts", "pass a list of texts"
                )
            examples = [task.opening for _ in range(num)]
        else:
            examples = [task.encode_prompt(text) for text in prompts]
        return self.answer(examples, seed=seed, trace=trace, **predictor)

    def answer(
        self,
        examples: Sequence[Mapping[str, Any]],
        *,
        seed: int = 0,
        trace: bool = False,
        batch_size: int | None = None,
        most_tokens: int | None = None,
        **predictor: Any,
    ) -> list[Answer]:
        """Answer encoded prompts; see `generate` for texts.

        Args:
            examples: from `task.encode_prompt`, or `task.opening`.
            seed, trace, predictor: see `generate`.
            batch_size: the most rows of a batch; that of the experiment's evaluation by
                default.
            most_tokens: length that answers are cut to.
        """
        task = self.task
        chosen = self._predictor(predictor)
        eos = task.tokenizer.special.eos
        answers: list[Answer] = []
        for first, found in generate_examples(
            self.network,
            chosen,
            self.parts.data,
            examples,
            self.device,
            seed=seed,
            trace=trace,
            batch_size=batch_size,
        ):
            for row, ids in enumerate(found.answers(eos)):
                kept = ids[:most_tokens]
                written = (
                    written_tokens(found, row, task.tokenizer.token, eos)
                    if trace
                    else None
                )
                answers.append(
                    Answer(
                        prompt_text(task, examples[first + row]),
                        task.decode(kept),
                        tuple(kept),
                        None if written is None else tuple(w.step for w in written),
                        found.forward_passes,
                    )
                )
        return answers

    def log_likelihood(
        self,
        texts: Sequence[str] | Sequence[tuple[str, str]],
        *,
        draws: int = 16,
        pseudo: bool = False,
    ) -> list[LogLikelihood]:
        """Compute log-probabilities of texts, or of answers given their prompts.

        Args:
            texts: texts for a task of layout `lm`, each with its EOS, or pairs of a
                text and its continuation, without an EOS; pairs of prompt and answer
                for `seq2seq`, each answer with its EOS.
            draws: Monte Carlo draws per text where the loss is random.
            pseudo: compute the pseudo-log-likelihood of a masked model instead.

        Raises:
            UserError: the family has no such likelihood, the task has another layout,
                or a text cannot be encoded.
        """
        task = self.task
        pairs = [(text, None) if isinstance(text, str) else text for text in texts]
        paired = [answer is not None for _, answer in pairs]
        if task.layout == "infill" or not all(
            one is paired[0] if task.layout == "lm" else one for one in paired
        ):
            raise UserError(
                f"the task {task.name} has the layout {task.layout}",
                {
                    "lm": "pass texts, or pairs of a text and its continuation",
                    "seq2seq": "pass pairs of a prompt and an answer",
                }.get(task.layout, "likelihoods need the layout lm or seq2seq"),
            )
        measure = self.text_likelihood(draws=draws, pseudo=pseudo)
        if task.layout == "lm" and any(paired):
            ids = [measure.encode_pair(text, after or "") for text, after in pairs]
            return measure.continuations(ids)
        return measure.examples([task.encode_example(*pair) for pair in pairs])

    def text_likelihood(
        self, *, draws: int = 16, pseudo: bool = False, batch_size: int | None = None
    ) -> TextLikelihood:
        """Measure log-likelihoods of ids; see `log_likelihood` for texts.

        Args:
            draws, pseudo: see `log_likelihood`.
            batch_size: the most rows of a batch; that of the experiment's evaluation by
                default.
        """
        return TextLikelihood(
            read_family(self.run.family_folder / SPEC),
            self.parts,
            self.device,
            draws,
            batch_size or self.parts.data.eval_batch_size,
            pseudo,
        )

    def evaluate(
        self,
        split: str = "test",
        *,
        limit: int | None = None,
        seed: int = 0,
        **predictor: Any,
    ) -> dict[str, Any]:
        """Evaluate a split as `xlmgen eval` does, and write the results.

        Args:
            split: `train`, `validation` or `test`.
            limit: evaluate the first rows only.
            seed: seed of the sampling.
            predictor: options of the predictor, such as `steps=16`.

        Returns:
            Contents of `results/NAME.json` in the run folder.
        """
        request = EvaluationRequest(
            split=split,
            checkpoint=str(self.stored.step),
            weights=self.stored.weights,
            limit=limit,
            predictor=predictor,
            seed=seed,
        )
        return evaluate(self.run, request, SafeConsole(quiet=True))

    def _predictor(self, options: Mapping[str, Any]) -> Any:
        """The predictor of the run, or one with other options."""
        if not options:
            return self.parts.predictor
        family, numbers = with_predictor(self.run, options)
        return build_predictor(family, self.parts.tokens, numbers)


def load(
    run: str | Path, *, checkpoint: str | int | None = None, weights: str | None = None
) -> Model:
    """Load a trained run.

    Args:
        run: the run folder.
        checkpoint: `best` (by validation loss), `last` or a step; by default the best,
            or the last where no validation has ended yet.
        weights: `raw` or `ema`; by default averaged where the run averages them.

    Raises:
        UserError: there is no such run or checkpoint, or it is damaged.
    """
    opened = Run.open(run)
    which = None if checkpoint is None else str(checkpoint)
    stored = opened.weights(which, None if weights is None else Weights(weights))
    parts = build(opened, stored=stored)
    device = parts.load(stored.folder, stored.weights)
    return Model(opened, stored, parts, device)


def train(
    experiment: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path | None = None,
    quiet: bool = False,
) -> Model:
    """Train an experiment, or continue its run, and load the result.

    Args:
        experiment: the YAML file.
        overrides: values by dotted key, such as `{"training.max_steps": 500}`.
        run_dir: the run folder; runs/NAME by default.
        quiet: print nothing.

    Raises:
        SpecError: the experiment has problems.
        UserError: a setting is wrong, or the folder has another run.
        KeyboardInterrupt: the training was stopped; its state has been saved.
    """
    given = [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]
    resolved = resolve(experiment, given)
    folder = Path("runs", resolved.name) if run_dir is None else Path(run_dir)
    console = SafeConsole(quiet=quiet)
    if run_training(resolved, folder, console, sys.argv):
        raise KeyboardInterrupt
    return load(folder)


def render_family(spec: str | Path) -> dict[str, str]:
    """Render a family's spec.

    Returns:
        Text of every file by its name in the family's folder; nothing is written.

    Raises:
        SpecError: the spec has problems.
    """
    return render_files(read_family(Path(spec)))

"""A trained run as the model `xlmgen` of lm-evaluation-harness."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

from xlmgen.api import Answer, load
from xlmgen.errors import UserError
from xlmgen.evaluation.text_likelihood import LogLikelihood, TextLikelihood
from xlmgen.lm_eval.stop import cut_at_stop, stop_strings
from xlmgen.registry import SPEC
from xlmgen.spec.family import read_family

DRAWS = 128
"""Monte Carlo draws of a bound by default."""
LONGEST_ANSWER = 256
"""Tokens of an answer where a task sets no `max_gen_toks`, as in the harness."""
NAMES_OF_OPTIONS = ("temperature", "top_p", "top_k")
"""Names of a task's generation settings that predictors share."""


@dataclass
class Counts:
    """What a run of the harness did, for its results.

    Args:
        likelihoods: number of log-likelihoods.
        error: sum of their standard errors.
        answers: number of generated answers.
        passes: sum over answers of the forward passes of their batches.
        shortened: contexts whose beginning was cut to fit.
    """

    likelihoods: int = 0
    error: float = 0.0
    answers: int = 0
    passes: int = 0
    shortened: int = 0


class XlmgenLM(LM):  # type: ignore[misc]  # the library is not typed
    """The harness's interface to a trained run.

    Args:
        run: the run folder.
        checkpoint, weights: see `xlmgen.load`.
        batch_size: rows of a batch; that of the experiment's evaluation by default, and
            for `auto`.
        draws: Monte Carlo draws of each log-likelihood that is a bound.
        seed: of the sampling.
        details: file to write with a line of JSON for each request: the kind and error
            of a log-likelihood, the forward passes of an answer.
        max_batch_size, device: of the harness; not used.
        predictor: options of the predictor, such as `steps=64`. They replace those of
            a task.
    """

    def __init__(
        self,
        run: str = "",
        *,
        checkpoint: str | int | None = None,
        weights: str | None = None,
        batch_size: int | str | None = None,
        draws: int = DRAWS,
        seed: int = 0,
        details: str | None = None,
        max_batch_size: int | None = None,
        device: str | None = None,
        **predictor: Any,
    ) -> None:
        super().__init__()
        if not run:
            raise UserError("no run is named", "add --model_args run=runs/NAME")
        self.model = load(run, checkpoint=checkpoint, weights=weights)
        self.spec = read_family(self.model.run.family_folder / SPEC)
        if str(batch_size or "auto").startswith("auto"):
            batch_size = self.model.parts.data.eval_batch_size
        self.batch_size = int(batch_size or 1)
        self.draws, self.seed = draws, seed
        self.predictor = predictor
        self.details = None if details is None else Path(details)
        if self.details is not None:
            self.details.write_text("", "utf-8")
        self.counts = Counts()

    @property
    def tokenizer_name(self) -> str:
        """Key of the harness's cache of requests."""
        return str(self.model.run.path.resolve()).replace("/", "__")

    def get_model_info(self) -> dict[str, Any]:
        """Entries for `config` of the harness's results."""
        counts = self.counts
        found: dict[str, Any] = {
            "run": str(self.model.run.path),
            "family": self.spec.name,
            "step": self.model.step,
            "shortened_contexts": counts.shortened,
        }
        if counts.likelihoods:
            measured = self._likelihood
            found["log_likelihood"] = {
                "kind": measured.kind,
                "requests": counts.likelihoods,
                "draws": self.draws if measured.kind == "bound" else 1,
                "mean_standard_error": counts.error / counts.likelihoods,
            }
        if counts.answers:
            found["generation"] = {
                "answers": counts.answers,
                "forward_passes_per_answer": counts.passes / counts.answers,
            }
        return found

    def loglikelihood(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-likelihoods of continuations: exact, a bound, or pseudo.

        Of a run of layout `lm`, of the continuation without an EOS; of `seq2seq`, of
        the continuation as the complete answer to the context.

        Returns:
            Pairs of nats and whether the continuation is generated after its context
            without sampling; False for documents with several continuations, since
            tasks that choose among them do not use it.
        """
        pairs = [request.args for request in requests]
        if self.model.task.layout == "lm":
            found = self._likelihood.continuations(
                [self._fitting(*self._likelihood.encode_pair(*pair)) for pair in pairs]
            )
        else:
            found = self._likelihood.examples(
                [self._example(context, answer) for context, answer in pairs]
            )
        greedy = self._is_greedy(requests)
        self._record(requests, found)
        results = [(one.nats, is_it) for one, is_it in zip(found, greedy, strict=True)]
        return self._cached("loglikelihood", requests, results)

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihoods of texts: sums over windows of the run's maximum length.

        A window is scored without those before it. Exact, a bound, or pseudo.

        Raises:
            UserError: the run's task has another layout than `lm`.
        """
        if self.model.task.layout != "lm":
            raise UserError(
                f"the task {self.model.task.name} of the run has the layout "
                f"{self.model.task.layout}, and log-likelihoods of texts need lm",
                "use a run that was trained on texts",
            )
        width = self._likelihood.longest
        windows: list[tuple[list[int], list[int]]] = []
        owners: list[int] = []
        for number, request in enumerate(requests):
            ids = self.model.task.tokenizer.encode(request.args[0], "text")
            for first in range(0, len(ids), width):
                windows.append(([], ids[first : first + width]))
                owners.append(number)
        sums, squares = np.zeros(len(requests)), np.zeros(len(requests))
        measured = self._likelihood.continuations(windows)
        for owner, one in zip(owners, measured, strict=True):
            sums[owner] += one.nats
            squares[owner] += one.error**2
        kind = self._likelihood.kind
        found = [
            LogLikelihood(nats, kind, error)
            for nats, error in zip(
                sums.tolist(), np.sqrt(squares).tolist(), strict=True
            )
        ]
        self._record(requests, found)
        return self._cached(
            "loglikelihood_rolling", requests, [one.nats for one in found]
        )

    def generate_until(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[str]:
        """Texts generated after contexts, cut before the first stop string."""
        texts = [""] * len(requests)
        settings = [dict(request.args[1]) for request in requests]
        groups: dict[str, list[int]] = {}
        for number, options in enumerate(settings):
            key = json.dumps(options, sort_keys=True, default=str)
            groups.setdefault(key, []).append(number)
        for numbers in groups.values():
            options = settings[numbers[0]]
            contexts = [requests[number].args[0] for number in numbers]
            answers = self._generate(contexts, options)
            for number, answer in zip(numbers, answers, strict=True):
                texts[number] = cut_at_stop(answer.text, stop_strings(options))
                self._write(
                    requests[number],
                    {
                        "forward_passes": answer.forward_passes,
                        "tokens": len(answer.ids),
                    },
                )
                self.counts.passes += answer.forward_passes
            self.counts.answers += len(numbers)
        return self._cached("generate_until", requests, texts)

    @cached_property
    def _likelihood(self) -> TextLikelihood:
        return self.model.text_likelihood(
            draws=self.draws,
            pseudo=self.spec.likelihood.gives == "none",
            batch_size=self.batch_size,
        )

    def _generate(
        self, contexts: Sequence[str], options: Mapping[str, Any]
    ) -> list[Answer]:
        """Answers to contexts, at most `max_gen_toks` long, in the contexts' order."""
        most = int(options.get("max_gen_toks", LONGEST_ANSWER))
        task = self.model.task
        maximum = task.max_length
        room = maximum.prompt - 1 if maximum.prompt else maximum.answer - 2
        if not maximum.prompt:  # the answer follows in the same sequence
            room = max(room - most, room // 2)
        prompts = [
            self._end(task.tokenizer.encode(context, "context"), room)
            for context in contexts
        ]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        answers = self.model.answer(
            [
                {**task.opening, "prompt": np.array(prompts[index], dtype=np.int64)}
                for index in order
            ],
            seed=self.seed,
            batch_size=self.batch_size,
            most_tokens=most,
            **self._options(options),
        )
        placed = dict(zip(order, answers, strict=True))
        return [placed[index] for index in range(len(contexts))]

    def _options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the predictor: those of a task that it has, then the user's."""
        known = self.spec.predictor.options
        wanted = {name: options[name] for name in NAMES_OF_OPTIONS if name in options}
        if not options.get("do_sample", False):
            wanted = {"temperature": 0.0}
        found = {name: value for name, value in wanted.items() if name in known}
        return {**found, **self.predictor}

    def _is_greedy(self, requests: Sequence[Instance]) -> list[bool]:
        """Whether the text generated after a context begins with its continuation.

        A generation is made for the only continuation of a document, not for choices.
        """
        documents = [(request.task_name, request.doc_id) for request in requests]
        count = Counter(documents)
        asked = [n for n, document in enumerate(documents) if count[document] == 1]
        answers = self._generate([requests[n].args[0] for n in asked], {})
        found = [False] * len(requests)
        for n, answer in zip(asked, answers, strict=True):
            found[n] = answer.text.lstrip().startswith(requests[n].args[1].strip())
        return found

    def _example(self, context: str, answer: str) -> dict[str, Any]:
        """A prompt and its answer, which begins without the harness's delimiter."""
        found = dict(self.model.task.encode_example("", answer.lstrip()))
        ids = self.model.task.tokenizer.encode(context, "context")
        prompt = self._end(ids, self.model.task.max_length.prompt - 1)
        return {**found, "prompt": np.array(prompt, dtype=np.int64)}

    def _fitting(
        self, before: list[int], after: list[int]
    ) -> tuple[list[int], list[int]]:
        return self._end(before, self._likelihood.longest - len(after)), after

    def _end(self, ids: list[int], room: int) -> list[int]:
        """The last ids that fit."""
        if len(ids) <= room:
            return ids
        self.counts.shortened += 1
        return ids[len(ids) - max(room, 0) :]

    def _record(
        self, requests: Sequence[Instance], found: Iterable[LogLikelihood]
    ) -> None:
        for request, one in zip(requests, found, strict=True):
            self.counts.likelihoods += 1
            self.counts.error += one.error
            self._write(request, vars(one))

    def _write(self, request: Instance, found: Mapping[str, Any]) -> None:
        """Append a line about a request to the file of details."""
        if self.details is None:
            return
        place = {
            "task": request.task_name,
            "document": request.doc_id,
            "request": request.request_type,
            "index": request.idx,
        }
        with self.details.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**place, **found}) + "\n")

    def _cached(
        self, name: str, requests: Sequence[Instance], results: list[Any]
    ) -> list[Any]:
        for request, result in zip(requests, results, strict=True):
            self.cache_hook.add_partial(name, request.args, result)
        return results


register_model("xlmgen")(XlmgenLM)

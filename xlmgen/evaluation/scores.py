"""What generated answers are worth: one function for every family."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from xlmgen.errors import UserError
from xlmgen.spec import generators as rules
from xlmgen.tasks import generators
from xlmgen.tasks.answered import Answered, Words
from xlmgen.tasks.task import Task

Example = Mapping[str, Any]
Ids = Sequence[int]
Metric = Callable[[Example, Ids], float]


def score(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, float]:
    """The mean of every metric of a task; empty where the task has none.

    Args:
        task: names the metrics.
        examples: with their whole targets.
        answers: one for each example, cut at EOS (`Generation.answers`).

    Raises:
        UserError: there is nothing to score.
    """
    if not len(examples):
        raise UserError(
            f"task {task.name}: no examples to score", "ask for one or more"
        )
    rows = score_rows(task, examples, answers)
    return {name: sum(values) / len(values) for name, values in rows.items()}


def score_rows(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, list[float]]:
    """Every metric of a task for every row, from 0 to 1. Arguments as for `score`."""
    return {
        name: [
            of_row(example, answer)
            for example, answer in zip(examples, answers, strict=True)
        ]
        for name, of_row in ((name, metric(task, name)) for name in task.metrics)
    }


def target(example: Example) -> list[int]:
    """The true answer: the target, or what belongs in the holes of a sequence."""
    if "target" in example:
        return [int(token) for token in example["target"]]
    pairs = zip(example["tokens"], example["given"], strict=True)
    return [int(token) for token, given in pairs if not given]


def exact_match(example: Example, answer: Ids) -> float:
    """1 where the answer is the target, neither shorter nor longer."""
    return float(list(answer) == target(example))


def token_accuracy(example: Example, answer: Ids) -> float:
    """Share of positions that agree, over the longer of answer and target.

    An answer that stops early or goes on too long loses by it. Two empty ones agree.
    """
    truth = target(example)
    longer = max(len(truth), len(answer))
    agree = sum(a == b for a, b in zip(answer, truth, strict=False))
    return agree / longer if longer else 1.0


METRICS: Mapping[str, Metric] = {
    "exact_match": exact_match,
    "token_accuracy": token_accuracy,
}
"""Those that know no rules."""


def metric(task: Task, name: str) -> Metric:
    """A metric of a task: one of `METRICS`, or of a generator's rules."""
    if name in METRICS:
        return METRICS[name]
    by_rules = generators.module(rules.metrics()[name].generator).METRICS[name]
    return lambda example, answer: float(by_rules(in_words(task, example, answer)))


def in_words(task: Task, example: Example, answer: Ids) -> Answered:
    """An example and the answer to it, with a word for each id."""

    def words(ids: Iterable[int]) -> Words:
        return tuple(task.tokenizer.token(int(id_)) for id_ in ids)

    return Answered(
        source=task.source,
        answer=words(answer),
        prompt=words(example.get("prompt", ())),
        target=words(target(example)),
        board=tuple(
            word if given else None
            for word, given in zip(
                words(example["tokens"]), example["given"], strict=True
            )
        )
        if "given" in example
        else (),
    )

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
    """Every metric of a task over all rows; empty where the task has none.

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
    means = {name: sum(values) / len(values) for name, values in rows.items()}
    found = means | score_set(task, examples, answers)
    return {name: found[name] for name in task.metrics}


def score_rows(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, list[float]]:
    """The metrics of a task that every row has one of. Arguments as for `score`."""
    scorers = {name: metric(task, name) for name in task.metrics if not _whole(name)}
    return {
        name: [
            of_row(example, answer)
            for example, answer in zip(examples, answers, strict=True)
        ]
        for name, of_row in scorers.items()
    }


def score_set(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, float]:
    """The metrics of a task of all rows together. Arguments as for `score`."""
    names = [name for name in task.metrics if _whole(name)]
    if not names:
        return {}
    pairs = zip(examples, answers, strict=True)
    rows = [in_words(task, example, answer) for example, answer in pairs]
    return {name: float(_by_rules(name)(rows)) for name in names}


def has_target(example: Example) -> bool:
    """Whether there is a true answer; a whole sequence has none."""
    return "target" in example or "given" in example


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
    """A metric of a row: one of `METRICS`, or of a generator's rules."""
    if name in METRICS:
        return METRICS[name]
    by_rules = _by_rules(name)
    return lambda example, answer: float(by_rules(in_words(task, example, answer)))


def is_correct(task: Task, example: Example, answer: Ids) -> bool:
    """Whether an answer is right: by the first metric of the task that knows its rules,
    so that another answer than the target may be; else whether it is the target."""
    by_rules = (n for n in task.metrics if n not in METRICS and not _whole(n))
    return metric(task, next(by_rules, "exact_match"))(example, answer) == 1


def in_words(task: Task, example: Example, answer: Ids) -> Answered:
    """An example and the answer to it, with a word for each id."""

    def words(ids: Iterable[int]) -> Words:
        return tuple(task.tokenizer.token(int(id_)) for id_ in ids)

    return Answered(
        source=task.source,
        answer=words(answer),
        prompt=words(example.get("prompt", ())),
        target=words(target(example)) if has_target(example) else (),
        board=tuple(
            word if given else None
            for word, given in zip(
                words(example["tokens"]), example["given"], strict=True
            )
        )
        if "given" in example
        else (),
    )


def _whole(name: str) -> bool:
    """Whether a metric is one number of all rows together."""
    return name in rules.metrics() and rules.metrics()[name].whole


def _by_rules(name: str) -> Callable[[Any], float]:
    """The function of a metric that knows a generator's rules."""
    of_module: Mapping[str, Callable[[Any], float]]
    of_module = generators.module(rules.metrics()[name].generator).METRICS
    return of_module[name]

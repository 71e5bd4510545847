"""What generated answers are worth: one function for every family."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, NamedTuple

from xlmgen.data.task import Task
from xlmgen.errors import UserError
from xlmgen.spec import generators
from xlmgen.tasks import own
from xlmgen.tasks.answered import Answered, Words
from xlmgen.tasks.generators import PACKAGE

Example = Mapping[str, Any]
Ids = Sequence[int]


class Metric(NamedTuple):
    """Where a metric's function is, and what it looks at.

    Its module is imported when the metric is asked for. All but those on `samples` are
    shares: numbers from 0 to 1.

    Args:
        function: `package.module:function`.
        on: `ids`: `function(example, answer)` is a number for one answer.
            `texts`: `function(answers, targets)` is a list of numbers, for all answers
            and true answers as texts.
            `words`: `function(answered)` is a number for one answer by the rules of a
            generator (see `xlmgen.tasks.answered`).
            `all words`: `function(rows)` is one such number for all answers together.
            `samples`: `function(samples)` is a mapping of numbers about a whole set
            (see `xlmgen.evaluation.samples`), for the layout lm, which has no true
            answers.
    """

    function: str
    on: Literal["ids", "texts", "words", "all words", "samples"] = "ids"

    def load(self) -> Any:
        """The function."""
        return getattr(self.module, self.function.partition(":")[2])

    @property
    def module(self) -> ModuleType:
        """Where the function is. It may have a `require` for `require_metrics`."""
        return import_module(self.function.partition(":")[0])


def _by_rules(metric: generators.GeneratorMetric) -> Metric:
    """The metric of a generator: the function of its name beside what makes rows."""
    on: Literal["words", "all words"] = "all words" if metric.whole else "words"
    return Metric(f"{PACKAGE}.{metric.generator}:{metric.name}", on)


METRICS: Mapping[str, Metric] = {
    "exact_match": Metric("xlmgen.evaluation.scores:exact_match"),
    "token_accuracy": Metric("xlmgen.evaluation.scores:token_accuracy"),
    "numeric_match": Metric("xlmgen.evaluation.final_number:numeric_match", "texts"),
    "program_result": Metric("xlmgen.evaluation.programs:program_result", "texts"),
    "math_match": Metric("xlmgen.evaluation.mathematics:math_match", "texts"),
    "distinct_n": Metric("xlmgen.evaluation.samples:distinct_n", "samples"),
    "unigram_entropy": Metric("xlmgen.evaluation.samples:unigram_entropy", "samples"),
    "length": Metric("xlmgen.evaluation.samples:length", "samples"),
    "repetition": Metric("xlmgen.evaluation.samples:repetition", "samples"),
    "novelty": Metric("xlmgen.evaluation.samples:novelty", "samples"),
    "molecules": Metric("xlmgen.evaluation.molecules:molecules", "samples"),
    "proteins": Metric("xlmgen.evaluation.proteins:proteins", "samples"),
    **{name: _by_rules(metric) for name, metric in generators.metrics().items()},
}
"""Every metric: those that know no rules, then those that generators' schemas list."""

SHARES = tuple(name for name, metric in METRICS.items() if metric.on != "samples")
"""The metrics that are a number from 0 to 1."""


def answer_metrics(task: Task) -> list[str]:
    """The metrics of a task that score answers: shares, and any numbers of its own."""
    samples = sample_metrics(task)
    return [name for name in task.metrics if name not in samples]


def sample_metrics(task: Task) -> list[str]:
    """The metrics of a task that describe all samples together."""
    return [name for name in task.metrics if _on(task, name) == "samples"]


def require_metrics(task: Task, metrics: Iterable[str]) -> None:
    """Raise what metrics would raise for want of a package, a system or a function.

    To be called before hours of work that they are to be the end of.
    """
    for name in metrics:
        if name in task.own_metrics:
            _ = task.own_metrics[name].function
        elif hasattr(module := METRICS[name].module, "require"):
            module.require()


def try_own(task: Task) -> None:
    """Run the user's own functions of a task, its metrics on one true answer.

    To be called before a run has a copy of the task: a mistake is then said with its
    place in the user's own YAML.

    Raises:
        UserError: one is not there, fails, or gives something else than it should.
    """
    require_metrics(task, task.own_metrics)
    if task.own_metrics or task.own_source:
        example = task.examples("validation")[0]
        whole = not has_target(example)
        answer = example["tokens"].tolist() if whole else target(example)
        score_rows(replace(task, metrics=tuple(task.own_metrics)), [example], [answer])


def score(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, float]:
    """Every metric of answers over all rows; empty where the task has none.

    Args:
        task: names the metrics.
        examples: with their whole targets.
        answers: one for each example, cut at EOS (`Generation.answers`).

    Raises:
        UserError: there is nothing to score.
    """
    return score_set(task, examples, answers, score_rows(task, examples, answers))


def score_rows(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, list[float]]:
    """The metrics of a task that every row has one of. Arguments as for `score`."""
    pairs = list(zip(examples, answers, strict=True))
    rows: dict[str, list[float]] = {}
    for name in task.metrics:
        match _on(task, name):
            case "own":
                hook = task.own_metrics[name]
                rows[name] = own.scores(hook, [in_texts(task, *pair) for pair in pairs])
            case "ids":
                of_ids: Callable[[Example, Ids], float] = METRICS[name].load()
                rows[name] = [of_ids(*pair) for pair in pairs]
            case "words":
                of_words: Callable[[Answered], float] = METRICS[name].load()
                rows[name] = [of_words(in_words(task, *pair)) for pair in pairs]
            case "texts":
                texts = [task.decode(answer) for answer in answers]
                targets = [task.decode(target(example)) for example in examples]
                rows[name] = METRICS[name].load()(texts, targets)
    return rows


def score_set(
    task: Task,
    examples: Sequence[Example],
    answers: Sequence[Ids],
    rows: Mapping[str, Sequence[float]],
) -> dict[str, float]:
    """What `score` gives, where `score_rows` made `rows` of the same answers."""
    if not len(examples):
        raise UserError(
            f"task {task.name}: no examples to score", "ask for one or more"
        )
    found = {name: sum(values) / len(values) for name, values in rows.items()}
    whole = [name for name in task.metrics if _on(task, name) == "all words"]
    if whole:
        pairs = zip(examples, answers, strict=True)
        together = [in_words(task, example, answer) for example, answer in pairs]
        found |= {name: float(METRICS[name].load()(together)) for name in whole}
    return {name: found[name] for name in answer_metrics(task)}


def _on(task: Task, name: str) -> str:
    """What a metric of a task looks at: see `Metric`; `own` is one of the user's."""
    return "own" if name in task.own_metrics else METRICS[name].on


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


def is_correct(task: Task, example: Example, answer: Ids) -> bool:
    """Whether an answer is right: by the first metric of the task that knows its rules,
    so that another answer than the target may be; else whether it is the target."""
    for name in task.metrics:
        if _on(task, name) == "words":
            by_rules: Callable[[Answered], float] = METRICS[name].load()
            return by_rules(in_words(task, example, answer)) == 1
    return exact_match(example, answer) == 1


def in_texts(task: Task, example: Example, answer: Ids) -> tuple[str, str, str]:
    """Prompt, answer and target; empty where there is none."""
    truth = task.decode(target(example)) if has_target(example) else ""
    return prompt_text(task, example), task.decode(answer), truth


def prompt_text(task: Task, example: Example) -> str:
    """What an example gives, in the form that `--prompt` takes; holes as [MASK]."""
    if "prompt" in example:
        return task.decode(example["prompt"])
    if "given" not in example:
        return ""
    parts: list[str] = []
    run: list[int] = []
    for token, given in zip(example["tokens"], example["given"], strict=True):
        if given:
            run.append(int(token))
            continue
        parts += [task.decode(run)] * bool(run) + ["[MASK]"]
        run = []
    parts += [task.decode(run)] * bool(run)
    return "".join(parts)


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

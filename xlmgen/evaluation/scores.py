"""Scores of generated answers, the same for every family."""

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
    """Location of a metric's function, and the form of its input.

    The module is imported when the metric is used. All metrics but those on `samples`
    are shares: numbers from 0 to 1.

    Args:
        function: `package.module:function`.
        on: `ids`: `function(example, answer)` returns a number for one answer.
            `texts`: `function(answers, targets)` returns a number for each answer;
            answers and targets are texts.
            `words`: `function(answered)` returns a number for one answer, by the rules
            of a generator (see `xlmgen.tasks.answered`).
            `all words`: `function(rows)` returns one such number for all answers.
            `samples`: `function(samples)` returns a mapping of numbers for a set of
            samples (see `xlmgen.evaluation.samples`), for the layout `lm`, which has no
            targets.
    """

    function: str
    on: Literal["ids", "texts", "words", "all words", "samples"] = "ids"

    def load(self) -> Any:
        """Import and return the function."""
        return getattr(self.module, self.function.partition(":")[2])

    @property
    def module(self) -> ModuleType:
        """Module of the function. It may have a `require` for `require_metrics`."""
        return import_module(self.function.partition(":")[0])


def _by_rules(metric: generators.GeneratorMetric) -> Metric:
    """The metric of a generator: the function of its name in the generator's module."""
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
"""Every metric: general ones, then those that the schemas of generators list."""

SHARES = tuple(name for name, metric in METRICS.items() if metric.on != "samples")
"""The metrics that are numbers from 0 to 1."""


def answer_metrics(task: Task) -> list[str]:
    """The metrics of a task that score answers: shares, and the user's own metrics."""
    samples = sample_metrics(task)
    return [name for name in task.metrics if name not in samples]


def sample_metrics(task: Task) -> list[str]:
    """The metrics of a task that describe all samples together."""
    return [name for name in task.metrics if _on(task, name) == "samples"]


def require_metrics(task: Task, metrics: Iterable[str]) -> None:
    """Raise the errors of metrics whose package, system or function is missing.

    Call it before hours of work that would end in such an error.

    Raises:
        UserError: a metric cannot run here.
    """
    for name in metrics:
        if name in task.own_metrics:
            _ = task.own_metrics[name].function
        elif hasattr(module := METRICS[name].module, "require"):
            module.require()


def try_own(task: Task) -> None:
    """Run the user's own functions of a task, its metrics on one reference answer.

    Call it before a run copies the task: errors then name the user's own YAML.

    Raises:
        UserError: a function is missing, fails, or returns an unexpected value.
    """
    require_metrics(task, task.own_metrics)
    if task.own_metrics or task.own_source:
        example = task.examples("validation")[0]
        answer = target(example) if has_target(example) else example["tokens"].tolist()
        score_rows(replace(task, metrics=tuple(task.own_metrics)), [example], [answer])


def score(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, float]:
    """Mean of every answer metric over all rows; empty where the task has none.

    Args:
        task: names the metrics.
        examples: with their uncut targets.
        answers: one for each example, cut at EOS (`Generation.answers`).

    Raises:
        UserError: there are no examples.
    """
    return score_set(task, examples, answers, score_rows(task, examples, answers))


def score_rows(
    task: Task, examples: Sequence[Example], answers: Sequence[Ids]
) -> dict[str, list[float]]:
    """The per-row metrics of a task, one number per row; arguments as for `score`."""
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
    """As `score`, given the `rows` of `score_rows` for the same answers."""
    if not len(examples):
        raise UserError(f"task {task.name}: no examples to score", "give at least one")
    found = {name: sum(values) / len(values) for name, values in rows.items()}
    joint = [name for name in task.metrics if _on(task, name) == "all words"]
    if joint:
        pairs = zip(examples, answers, strict=True)
        answered = [in_words(task, example, answer) for example, answer in pairs]
        found |= {name: float(METRICS[name].load()(answered)) for name in joint}
    return {name: found[name] for name in answer_metrics(task)}


def _on(task: Task, name: str) -> str:
    """Input form of a task's metric: `Metric.on`, or `own` for a user's own metric."""
    return "own" if name in task.own_metrics else METRICS[name].on


def has_target(example: Example) -> bool:
    """Whether an example has a target; one of layout `lm` has none."""
    return "target" in example or "given" in example


def target(example: Example) -> list[int]:
    """Reference answer: the target, or the tokens of the holes of a sequence."""
    if "target" in example:
        return [int(token) for token in example["target"]]
    pairs = zip(example["tokens"], example["given"], strict=True)
    return [int(token) for token, given in pairs if not given]


def exact_match(example: Example, answer: Ids) -> float:
    """1 where the answer equals the target, length included; else 0."""
    return float(list(answer) == target(example))


def token_accuracy(example: Example, answer: Ids) -> float:
    """Share of equal positions, out of the longer of answer and target.

    An answer that is too short or too long thus scores less. 1 if both are empty.
    """
    reference = target(example)
    longer = max(len(reference), len(answer))
    agree = sum(a == b for a, b in zip(answer, reference, strict=False))
    return agree / longer if longer else 1.0


def is_correct(task: Task, example: Example, answer: Ids) -> bool:
    """Whether an answer is correct.

    By the first metric of the task that applies a generator's rules, which may accept
    other answers than the target; without such a metric, by equality with the target.
    """
    for name in task.metrics:
        if _on(task, name) == "words":
            by_rules: Callable[[Answered], float] = METRICS[name].load()
            return by_rules(in_words(task, example, answer)) == 1
    return exact_match(example, answer) == 1


def in_texts(task: Task, example: Example, answer: Ids) -> tuple[str, str, str]:
    """Texts of prompt, answer and target; empty where the example has none."""
    reference = task.decode(target(example)) if has_target(example) else ""
    return prompt_text(task, example), task.decode(answer), reference


def prompt_text(task: Task, example: Example) -> str:
    """Prompt of an example as text, as `--prompt` takes it; holes are `[MASK]`."""
    if "prompt" in example:
        return task.decode(example["prompt"])
    if "given" not in example:
        return ""
    parts: list[str] = []
    visible: list[int] = []
    for token, given in zip(example["tokens"], example["given"], strict=True):
        if given:
            visible.append(int(token))
            continue
        parts += [task.decode(visible)] * bool(visible) + ["[MASK]"]
        visible = []
    parts += [task.decode(visible)] * bool(visible)
    return "".join(parts)


def completed_text(task: Task, example: Example, answer: Ids) -> str:
    """A sequence with the answer in its holes; empty where the numbers differ."""
    if list(example["given"]).count(0) != len(answer):
        return ""
    filled = iter(answer)
    pairs = zip(example["tokens"], example["given"], strict=True)
    return task.decode(int(token) if given else next(filled) for token, given in pairs)


def in_words(task: Task, example: Example, answer: Ids) -> Answered:
    """An example and its answer, one word per id."""

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

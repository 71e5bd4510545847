"""Generate answers to prompts with a run, for the console and a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.text import Text

from xlmgen.data.task import Task
from xlmgen.distributed import processes
from xlmgen.evaluation.generate import generate_examples
from xlmgen.evaluation.predictions import write_jsonl
from xlmgen.evaluation.request import GenerationRequest
from xlmgen.evaluation.scores import (
    completed_text,
    is_correct,
    prompt_text,
    target,
)
from xlmgen.evaluation.show_infill import (
    board_side,
    example_places,
    generated_places,
    show_places,
)
from xlmgen.evaluation.show_trace import legend, one_line, show_order, written_tokens
from xlmgen.evaluation.variant import with_predictor
from xlmgen.runs.build import Parts, build
from xlmgen.runs.run import Run, Stored
from xlmgen.runtime.generation import Generation

Example = Mapping[str, Any]
LABEL = 8  # width of the label in front of a text


@dataclass(frozen=True)
class AnsweredBatch:
    """The answers to one batch of examples.

    Args:
        first: index of its first example.
        rows: prompt, prediction, and target where it is known.
        shown: the same for the console.
    """

    first: int
    rows: list[dict[str, Any]]
    shown: str


def sample(
    run: Run, request: GenerationRequest, console: Console
) -> list[dict[str, Any]]:
    """Answer prompts or the first test rows, or generate texts; print the answers.

    Returns:
        A row per answer: prompt, prediction, and the target where there is one.

    Raises:
        UserError: a prompt cannot be encoded, or there is no such checkpoint or option.
    """
    stored = run.weights(request.checkpoint, request.weights)
    task = run.load_task()
    given = [task.encode_prompt(text) for text in request.prompts]
    family, numbers = with_predictor(run, request.predictor)
    parts = build(run, family=family, predictor=numbers, stored=stored)
    device = parts.load(stored.folder, stored.weights)
    examples = given or _test_examples(task, request.num)
    is_first = processes.rank() == 0
    if is_first:
        _print_notes(console, request, stored, len(examples))
    alone = processes.count() == 1
    answered: list[AnsweredBatch] = []
    for batch in _answer(parts, examples, request, device, console):
        if alone:
            console.file.write(batch.shown)  # as soon as it is generated
        answered.append(batch)
    gathered = [batch for own in processes.gather(answered) for batch in own]
    gathered.sort(key=lambda batch: batch.first)
    rows = [row for batch in gathered for row in batch.rows]
    if is_first:
        if not alone:
            console.file.write("".join(batch.shown for batch in gathered))
        if request.out is not None:
            write_jsonl(request.out, rows)
    return rows


def _print_notes(
    console: Console, request: GenerationRequest, stored: Stored, found: int
) -> None:
    """Print notes ahead of the answers: missing rows, averaged weights, the legend."""
    if not request.prompts and found < request.num:
        console.print(
            f"note: the test split has {found} rows, fewer than the {request.num} "
            "requested; all of them are answered",
            style="yellow",
        )
    if stored.averaged:
        console.print(str(stored), style="dim")
    if request.trace:
        console.print(legend())


def _answer(
    parts: Parts,
    examples: Sequence[Example],
    request: GenerationRequest,
    device: torch.device,
    console: Console,
) -> Iterator[AnsweredBatch]:
    """Answer the batches of this process, one at a time."""
    task = parts.task
    has_targets = not request.prompts and task.layout != "lm"
    for first, generation in generate_examples(
        parts.model,
        parts.predictor,
        parts.data,
        examples,
        device,
        seed=request.seed,
        trace=request.trace,
        part=slice(processes.rank(), None, processes.count()),
    ):
        some = examples[first : first + len(generation.ids)]
        rows = _rows(task, some, generation, with_targets=has_targets)
        with console.capture() as shown:
            for number, (example, row) in enumerate(zip(some, rows, strict=True)):
                show = _show_infill if task.layout == "infill" else _show
                show(console, task, example, row, generation, number)
        yield AnsweredBatch(first, rows, shown.get())


def _test_examples(task: Task, num: int) -> list[Example]:
    """The first test rows, or `num` empty contexts for a task of layout `lm`."""
    if task.layout == "lm":
        return [task.opening for _ in range(num)]
    examples = task.examples("test")
    return [examples[row] for row in range(min(num, len(examples)))]


def _rows(
    task: Task,
    examples: Sequence[Example],
    generation: Generation,
    *,
    with_targets: bool,
) -> list[dict[str, Any]]:
    """Prompt and prediction of every example, and its target if asked."""
    rows: list[dict[str, Any]] = []
    answers = generation.answers(task.tokenizer.special.eos)
    for example, answer in zip(examples, answers, strict=True):
        row: dict[str, Any] = {
            "prompt": prompt_text(task, example),
            "prediction": task.decode(answer),
        }
        if "given" in example:
            row["completed"] = completed_text(task, example, answer)
        if with_targets:
            row["target"] = task.decode(target(example))
            row["correct"] = is_correct(task, example, answer)
        rows.append(row)
    return rows


def _show_infill(
    console: Console,
    task: Task,
    example: Example,
    row: Mapping[str, Any],
    generation: Generation,
    number: int,
) -> None:
    """Print a sequence with its holes, with the answer and with the truth in them."""
    length = len(example["tokens"])
    if board_side(task, length) is None:
        _line(console, "prompt", row["prompt"])
    else:
        holes = example_places(task, example, holes=True)
        show_places(console, task, holes, f"{'prompt':<{LABEL}}")
    answer = generated_places(task, generation, number)
    show_places(console, task, answer, f"{'answer':<{LABEL}}")
    if "target" in row:
        true = example_places(task, example, holes=False)
        show_places(console, task, true, f"{'true':<{LABEL}}", _verdict(row))
    console.print()


def _verdict(row: Mapping[str, Any]) -> tuple[str, str]:
    return ("  right", "green") if row["correct"] else ("  wrong", "red")


def _show(
    console: Console,
    task: Task,
    example: Example,
    row: Mapping[str, Any],
    generation: Generation,
    number: int,
) -> None:
    """Print one answer below its prompt and above its target, with any trace."""
    if row["prompt"]:
        _line(console, "prompt", row["prompt"])
    if generation.trace is None:
        _line(console, "answer", row["prediction"], "bold")
    else:
        tokenizer = task.tokenizer
        eos = tokenizer.special.eos
        tokens = written_tokens(generation, number, tokenizer.token, eos)
        show_order(console, tokens, f"{'answer':<{LABEL}}")
    if "target" in row:
        _line(console, "true", row["target"], "", _verdict(row))
    console.print()


def _line(
    console: Console,
    label: str,
    text: str,
    style: str = "",
    note: tuple[str, str] = ("", ""),
) -> None:
    line = Text.assemble((f"{label:<{LABEL}}", "dim"), (one_line(text), style), note)
    console.print(line)

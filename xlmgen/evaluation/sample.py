"""`xlmgen generate` as a function: answers to prompts, on the screen and in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text

from xlmgen.data.batches import batch_seed
from xlmgen.data.datamodule import GENERATION_USES
from xlmgen.data.task import Task
from xlmgen.distributed import processes
from xlmgen.evaluation.generate import generate
from xlmgen.evaluation.predictions import write_jsonl
from xlmgen.evaluation.predictor_options import predictor_options
from xlmgen.evaluation.scores import is_correct, prompt_text, target
from xlmgen.evaluation.show_trace import legend, one_line, show_order, written_tokens
from xlmgen.evaluation.variant import with_predictor
from xlmgen.runs.build import build
from xlmgen.runs.checkpoint_folder import Weights
from xlmgen.runs.run import Run
from xlmgen.runtime.sampling import Generation

Example = Mapping[str, Any]
LABEL = 8  # columns in front of a text


def sample(
    run: Run,
    console: Console,
    *,
    prompts: Sequence[str] = (),
    num: int = 4,
    trace: bool = False,
    checkpoint: str | None = None,
    weights: Weights | None = None,
    overrides: Sequence[str] = (),
    seed: int = 0,
    out: Path | None = None,
) -> list[dict[str, Any]]:
    """Answer prompts, or the first test prompts, or generate from nothing.

    Args:
        prompts: texts; without any, `num` rows of the test split are answered (or, for
            a task of whole texts, as many texts generated).
        trace: show at which step every token appeared.
        checkpoint, weights: see `Run.weights`.
        out: a JSONL file for the answers.

    Returns:
        A row per answer: prompt, prediction, and the target where there is one.

    Raises:
        UserError: a prompt cannot be encoded, or there is no such checkpoint or option.
    """
    stored = run.weights(checkpoint, weights)
    task = run.load_task()
    given = [task.encode_prompt(text) for text in prompts]
    family, numbers = with_predictor(run, predictor_options(overrides))
    parts = build(run, family=family, predictor=numbers, stored=stored)
    device = parts.load(stored.folder, stored.weights)
    examples = given or _test_examples(task, num)
    if not given and len(examples) < num and processes.rank() == 0:
        console.print(
            f"note: the test split has {len(examples)} rows, and not the {num} asked "
            "for; all of them are answered",
            style="yellow",
            soft_wrap=True,
        )
    collator = parts.data.collator(GENERATION_USES[task.layout])
    generator = torch.Generator(device)
    if stored.averaged and processes.rank() == 0:
        console.print(str(stored), style="dim")
    if trace and processes.rank() == 0:
        console.print(legend())
    done: list[tuple[int, list[dict[str, Any]], str]] = []
    starts = range(0, len(examples), parts.data.eval_batch_size)
    for first in starts[processes.rank() :: processes.count()]:
        some = examples[first : first + parts.data.eval_batch_size]
        generator.manual_seed(batch_seed(seed, "sampling", first, 0))
        batch = collator(some, torch.Generator().manual_seed(seed))
        generation = generate(
            parts.model,
            parts.predictor,
            batch,
            device,
            generator,
            trace=trace,
        )
        known = not given and task.layout != "lm"
        new = _rows(task, some, generation, known=known)
        with console.capture() as shown:
            for number, row in enumerate(new):
                _show(console, task, row, generation, number)
        if processes.count() == 1:
            console.file.write(shown.get())
        done.append((first, new, shown.get()))
    everything = sorted(one for own in processes.gather(done) for one in own)
    rows = [row for _, new, _ in everything for row in new]
    if processes.rank() == 0:
        if processes.count() > 1:
            console.file.write("".join(text for _, _, text in everything))
        if out is not None:
            write_jsonl(out, rows)
    return rows


def _test_examples(task: Task, num: int) -> list[Example]:
    """The first test rows, or as many openings for a task of whole texts."""
    if task.layout == "lm":
        return [task.opening for _ in range(num)]
    examples = task.examples("test")
    return [examples[row] for row in range(min(num, len(examples)))]


def _rows(
    task: Task, examples: Sequence[Example], generation: Generation, *, known: bool
) -> list[dict[str, Any]]:
    """Prompt and prediction of every example, and the truth where it is known."""
    rows: list[dict[str, Any]] = []
    answers = generation.answers(task.tokenizer.special.eos)
    for example, answer in zip(examples, answers, strict=True):
        row: dict[str, Any] = {
            "prompt": prompt_text(task, example),
            "prediction": task.decode(answer),
        }
        if known:
            row["target"] = task.decode(target(example))
            row["correct"] = is_correct(task, example, answer)
        rows.append(row)
    return rows


def _show(
    console: Console,
    task: Task,
    row: Mapping[str, Any],
    generation: Generation,
    number: int,
) -> None:
    """One answer under its prompt and above the truth, with its order if traced."""
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
        verdict = ("  right", "green") if row["correct"] else ("  wrong", "red")
        _line(console, "true", row["target"], "", verdict)
    console.print()


def _line(
    console: Console,
    label: str,
    text: str,
    style: str = "",
    note: tuple[str, str] = ("", ""),
) -> None:
    line = Text.assemble((f"{label:<{LABEL}}", "dim"), (one_line(text), style), note)
    console.print(line, soft_wrap=True)

"""Predictions as JSONL: prompt, prediction and target, one row per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xlmgen.data.task import Task
from xlmgen.evaluation.scores import (
    completed_text,
    has_target,
    is_correct,
    prompt_text,
    target,
)
from xlmgen.io.files import write_text

Example = Mapping[str, Any]


def prediction_rows(
    task: Task,
    examples: Sequence[Example],
    answers: Sequence[Sequence[int]],
    scores: Mapping[str, Sequence[float]],
    orders: Mapping[int, Sequence[tuple[int, int]]],
) -> Iterator[dict[str, Any]]:
    """Prompt, prediction, target, correctness and scores of every example.

    Examples of layout `lm` have no target and no correctness. Those of layout `infill`
    have the completed sequence, too.

    Args:
        scores: of the same answers, by `score_rows`.
        orders: tokens of some answers with the step that wrote each.
    """
    token = task.tokenizer.token
    for row, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        reference: dict[str, Any] = {}
        if "given" in example:
            reference["completed"] = completed_text(task, example, answer)
        if has_target(example):
            reference["target"] = task.decode(target(example))
            reference["correct"] = is_correct(task, example, answer)
        if row in orders:
            reference["order"] = [[token(id), step] for id, step in orders[row]]
        yield {
            "row": row,
            "prompt": prompt_text(task, example),
            "prediction": task.decode(answer),
            **reference,
            **{name: values[row] for name, values in scores.items()},
        }


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    write_text(path, "".join(f"{line}\n" for line in lines))

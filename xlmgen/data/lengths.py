"""Lengths of the examples of a split, before and after `max_length` is applied."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xlmgen.data.examples import Examples, Ints
from xlmgen.data.packing import PackedExamples
from xlmgen.data.prepare import id_limits
from xlmgen.data.task import Task


@dataclass(frozen=True)
class Lengths:
    """Lengths of the rows of a split, without special tokens.

    Args:
        parts: for each part of an example, the length of every row before `max_length`
            is applied.
        limits: the most ids of each part within `max_length`; for packed documents,
            the ids of the stream in one row.
        examples: number of examples.
        tokens: total number of ids in them.
        dropped: number of rows dropped because they are too long.
        truncated: number of truncated rows.
    """

    parts: Mapping[str, Ints]
    limits: Mapping[str, int]
    examples: int
    tokens: int
    dropped: int = 0
    truncated: int = 0


def measure(task: Task, split: str) -> Lengths:
    """Measure the lengths of `train`, `validation` or `test`.

    Raises:
        UserError: as `Task.examples` does.
    """
    examples = task.examples(split)
    if isinstance(examples, PackedExamples):
        documents = examples.documents.lengths
        return Lengths(
            {"tokens": documents},
            {"tokens": examples.step},
            len(examples),
            int(documents.sum()),
        )
    assert isinstance(examples, Examples)
    limits = id_limits(task.max_length, task.layout)
    parts = {key: examples.columns[key].lengths for key in limits}
    kept = list(parts.values())
    if examples.rows is not None:
        kept = [lengths[examples.rows] for lengths in kept]
    cut = kept
    if (longest := examples.longest) is not None:
        cut = [np.minimum(lengths, longest) for lengths in kept]
    return Lengths(
        parts,
        limits,
        len(examples),
        sum(int(lengths.sum()) for lengths in cut),
        dropped=len(next(iter(parts.values()))) - len(examples),
        truncated=sum(
            int((long > short).sum()) for long, short in zip(kept, cut, strict=True)
        ),
    )

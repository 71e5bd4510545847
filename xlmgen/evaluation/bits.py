"""Bits per character or byte: likelihood in a unit independent of the tokenizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from xlmgen.data.task import Task
from xlmgen.distributed import processes
from xlmgen.evaluation.entropy import entropy
from xlmgen.runtime.special_tokens import SpecialTokens

UNITS = ("character", "byte")
"""Kinds of tokenizer whose tokens are such a unit, each named after it."""


def in_bits(
    per_data_token: Mapping[str, float], task: Task, split: str, rows: int
) -> dict[str, float]:
    """Bits per character or byte, and the unigram entropy of the same rows.

    The end of a document counts as one character. Empty for a tokenizer with
    longer tokens and for a family whose loss is not a likelihood. A collective call:
    all processes must make it.

    Args:
        per_data_token: nats, as `data_tokens.per_data_token` returns them.
        task: the task measured.
        split: of the task.
        rows: number of rows measured, from the first on.
    """
    unit = task.tokenizer_options["kind"]
    nats = {
        suffix: per_data_token[f"data_nll{suffix}"]
        for suffix in ("", "_bound")
        if f"data_nll{suffix}" in per_data_token
    }
    if unit not in UNITS or not nats:
        return {}
    bits = {f"bits_per_{unit}{suffix}": n / math.log(2) for suffix, n in nats.items()}
    counts = _counts(task, split, rows)
    return {**bits, f"unigram_bits_per_{unit}": entropy(counts) / math.log(2)}


def predicted_ids(
    example: Mapping[str, Any], layout: str, special: SpecialTokens
) -> npt.NDArray[np.int64]:
    """The ids of an example that a model is scored on (`data_tokens.count_tokens`)."""
    if layout == "infill":
        ids: npt.NDArray[np.int64] = np.asarray(example["tokens"])
        return ids[np.asarray(example["given"]) == 0]
    ids = np.asarray(example["target" if layout == "seq2seq" else "tokens"])
    if example.get("packed"):
        return ids[ids != special.bos]
    return np.append(ids, special.eos)


def _counts(task: Task, split: str, rows: int) -> list[int]:
    """Number of predictions of each id in the first rows of a split, (vocab_size,)."""
    examples, special = task.examples(split), task.tokenizer.special
    counts = np.zeros(special.vocab_size, np.int64)
    for row in range(processes.rank(), rows, processes.count()):
        ids = predicted_ids(examples[row], task.layout, special)
        counts += np.bincount(ids, minlength=len(counts))
    total: list[int] = np.sum(processes.gather(counts), axis=0).tolist()
    return total

"""Sets of generated sequences, and statistics of such a set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean, median, pstdev
from typing import Any

from xlmgen.data.task import Task
from xlmgen.evaluation.entropy import entropy
from xlmgen.evaluation.scores import METRICS

Ids = Sequence[int]
DISTINCT = (1, 2, 3, 4)  # n-gram lengths of `distinct_n`
REPEATED = 4  # n-gram length of `repetition`


@dataclass(frozen=True)
class Samples:
    """A set of sequences, each without BOS and cut at its first EOS.

    Args:
        ids: of every sequence. Empty sequences are kept, and count in every denominator
            unless a metric says otherwise.
        decode: ids to text.
        train: the first n sequences of the train split in the same form; all for None.
    """

    ids: Sequence[Ids]
    decode: Callable[[Ids], str] = field(repr=False)
    train: Callable[[int | None], Sequence[Ids]] = field(repr=False)

    @cached_property
    def texts(self) -> list[str]:
        """Texts of the sequences."""
        return [self.decode(ids) for ids in self.ids]

    @cached_property
    def train_texts(self) -> list[str]:
        """Texts of the train split."""
        return [self.decode(ids) for ids in self.train(None)]


def samples_of(task: Task, ids: Sequence[Ids]) -> Samples:
    """The set of a task's generated sequences."""
    return Samples(ids, task.decode, lambda rows: data_ids(task, "train", rows))


def data_ids(task: Task, split: str, rows: int | None = None) -> list[Ids]:
    """The first rows of a split in the same form as samples; all rows for None."""
    special = task.tokenizer.special
    found: list[Ids] = []
    examples = task.examples(split)
    for row in range(len(examples) if rows is None else min(rows, len(examples))):
        ids = examples[row]["tokens"].tolist()
        if examples[row].get("packed"):  # a packed row already has special tokens
            ids = [id_ for id_ in ids if id_ != special.bos]
        found.append(ids[: ids.index(special.eos)] if special.eos in ids else ids)
    return found


def describe(samples: Samples, metrics: Sequence[str]) -> dict[str, float]:
    """Values of the named metrics of samples."""
    found: dict[str, float] = {}
    for name in metrics:
        numbers: Mapping[str, float] = METRICS[name].load()(samples)
        found |= numbers
    return found


def distinct_n(samples: Samples) -> dict[str, float]:
    """Share of distinct n-grams among all n-grams of tokens over all samples.

    The share falls with the number of samples: compare sets of equal size.
    """
    found = {}
    for n in DISTINCT:
        grams = [gram for ids in samples.ids for gram in _grams(ids, n)]
        found[f"distinct_{n}"] = len(set(grams)) / len(grams) if grams else math.nan
    return found


def unigram_entropy(samples: Samples) -> dict[str, float]:
    """Mean entropy, in nats, of the tokens within a sample; 0 for an empty sample.

    Low for repetitive samples, which generative perplexity favours.
    """
    return {
        "unigram_entropy": fmean(entropy(Counter(ids).values()) for ids in samples.ids)
    }


def length(samples: Samples) -> dict[str, float]:
    """Statistics of sample lengths without BOS and EOS, and the share of empty ones."""
    lengths = [len(ids) for ids in samples.ids]
    return {
        "length_mean": fmean(lengths),
        "length_deviation": pstdev(lengths),
        "length_min": min(lengths),
        "length_median": float(median(lengths)),
        "length_max": max(lengths),
        "empty": lengths.count(0) / len(lengths),
    }


def repetition(samples: Samples) -> dict[str, float]:
    """Mean share of repeated 4-grams within a sample, over samples with any 4-gram."""
    shares = [
        1 - len(set(grams)) / len(grams)
        for ids in samples.ids
        if (grams := _grams(ids, REPEATED))
    ]
    return {f"repetition_{REPEATED}": fmean(shares) if shares else math.nan}


def novelty(samples: Samples) -> dict[str, float]:
    """Number of distinct texts, and of distinct texts not in train, per sample."""
    different = set(samples.texts)
    new = different.difference(samples.train_texts)
    count = len(samples.texts)
    return {"different": len(different) / count, "different_new": len(new) / count}


def _grams(ids: Ids, n: int) -> list[tuple[Any, ...]]:
    return list(zip(*(ids[start:] for start in range(n)), strict=False))

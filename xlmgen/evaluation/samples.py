"""Generated sequences as a set, and the statistics of any such set."""

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
DISTINCT = (1, 2, 3, 4)  # lengths of the n-grams of `distinct_n`
REPEATED = 4  # length of the n-grams of `repetition`


@dataclass(frozen=True)
class Samples:
    """Some sequences, each without BOS and cut at its first EOS.

    Args:
        ids: of every sequence; empty ones stay in, and count in every denominator
            that does not say otherwise.
        decode: the text of some ids.
        train: gives the first so many sequences of the train split, in the same form;
            of None all of them.
    """

    ids: Sequence[Ids]
    decode: Callable[[Ids], str] = field(repr=False)
    train: Callable[[int | None], Sequence[Ids]] = field(repr=False)

    @cached_property
    def texts(self) -> list[str]:
        """The sequences as texts."""
        return [self.decode(ids) for ids in self.ids]

    @cached_property
    def train_texts(self) -> list[str]:
        """The train split as texts."""
        return [self.decode(ids) for ids in self.train(None)]


def samples_of(task: Task, ids: Sequence[Ids]) -> Samples:
    """Generated sequences of a task."""
    return Samples(ids, task.decode, lambda rows: data_ids(task, "train", rows))


def data_ids(task: Task, split: str, rows: int | None = None) -> list[Ids]:
    """The first rows of a split in the form of samples, to compare these with."""
    special = task.tokenizer.special
    found: list[Ids] = []
    examples = task.examples(split)
    for row in range(len(examples) if rows is None else min(rows, len(examples))):
        ids = examples[row]["tokens"].tolist()
        if examples[row].get("packed"):  # its special tokens are in it already
            ids = [id_ for id_ in ids if id_ != special.bos]
        found.append(ids[: ids.index(special.eos)] if special.eos in ids else ids)
    return found


def describe(samples: Samples, metrics: Sequence[str]) -> dict[str, float]:
    """The numbers of some metrics of samples, by their own names."""
    found: dict[str, float] = {}
    for name in metrics:
        numbers: Mapping[str, float] = METRICS[name].load()(samples)
        found |= numbers
    return found


def distinct_n(samples: Samples) -> dict[str, float]:
    """Of all n-grams of tokens, over all samples, the share that are different ones.

    The share falls as there are more samples: compare sets of one size.
    """
    found = {}
    for n in DISTINCT:
        grams = [gram for ids in samples.ids for gram in _grams(ids, n)]
        found[f"distinct_{n}"] = len(set(grams)) / len(grams) if grams else math.nan
    return found


def unigram_entropy(samples: Samples) -> dict[str, float]:
    """Mean entropy, in nats, of the tokens within a sample; of an empty one it is 0.

    Low where samples repeat themselves, which generative perplexity rewards.
    """
    return {
        "unigram_entropy": fmean(entropy(Counter(ids).values()) for ids in samples.ids)
    }


def length(samples: Samples) -> dict[str, float]:
    """Tokens of a sample, without BOS and EOS, and the share of empty samples."""
    lengths = [len(ids) for ids in samples.ids]
    return {
        "length_mean": fmean(lengths),
        "length_deviation": pstdev(lengths),
        "length_min": float(min(lengths)),
        "length_median": float(median(lengths)),
        "length_max": float(max(lengths)),
        "empty": lengths.count(0) / len(lengths),
    }


def repetition(samples: Samples) -> dict[str, float]:
    """Mean share of a sample's 4-grams that it had before; of samples that have any."""
    shares = [
        1 - len(set(grams)) / len(grams)
        for ids in samples.ids
        if (grams := _grams(ids, REPEATED))
    ]
    return {f"repetition_{REPEATED}": fmean(shares) if shares else math.nan}


def novelty(samples: Samples) -> dict[str, float]:
    """Shares of all samples: different texts, and those that are not in train."""
    different = set(samples.texts)
    new = different.difference(samples.train_texts)
    count = len(samples.texts)
    return {"different": len(different) / count, "different_new": len(new) / count}


def _grams(ids: Ids, n: int) -> list[tuple[Any, ...]]:
    return list(zip(*(ids[start:] for start in range(n)), strict=False))

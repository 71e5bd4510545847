"""Metrics of proteins: valid sequences of amino acids, and their composition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from xlmgen.evaluation.samples import Samples

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
LETTERS = STANDARD + "BJOUXZ"  # rare, ambiguous and unknown ones
TRAIN_ROWS = 100_000  # most rows used of the train split, which may have millions


def proteins(samples: Samples) -> dict[str, float]:
    """Shares of valid and standard samples, and the divergence of their composition.

    A sample is valid if it is not empty and has only the 26 letters of amino acids, and
    standard if it has only the 20 standard ones. `composition_kl` is KL(samples ‖
    train) in nats over the 20 amino acids; every train count is increased by one, which
    keeps it finite.
    """
    count = len(samples.texts)
    train = map(samples.decode, samples.train(TRAIN_ROWS))
    return {
        "valid_letters": sum(_made_of(text, LETTERS) for text in samples.texts) / count,
        "standard_letters": sum(_made_of(text, STANDARD) for text in samples.texts)
        / count,
        "composition_kl": divergence(_composition(samples.texts), _composition(train)),
    }


def divergence(found: Mapping[str, int], known: Mapping[str, int]) -> float:
    """KL divergence in nats of two amino-acid counts; NaN where `found` is empty.

    Every count of `known` is increased by one.
    """
    total = sum(found.values())
    expected = sum(known.values()) + len(STANDARD)
    if not total:
        return math.nan
    return sum(
        n / total * math.log(n / total * expected / (known.get(letter, 0) + 1))
        for letter, n in found.items()
    )


def _made_of(text: str, letters: str) -> bool:
    return bool(text) and set(text) <= set(letters)


def _composition(texts: Iterable[str]) -> Counter[str]:
    counts = Counter[str]()
    for text in texts:
        counts.update(letter for letter in text if letter in STANDARD)
    return counts

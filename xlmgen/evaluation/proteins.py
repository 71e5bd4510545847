"""Proteins: which samples are sequences of amino acids, and how they are composed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from xlmgen.evaluation.samples import Samples

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
LETTERS = STANDARD + "BJOUXZ"  # rare, ambiguous and unknown ones
TRAIN_ROWS = 100_000  # of the train split, which may have many millions


def proteins(samples: Samples) -> dict[str, float]:
    """Shares of valid and of standard samples, and how far the composition is off.

    A sample is valid with one letter or more and none but the 26 of amino acids, and
    standard if they are all of the 20. `composition_kl` is KL(samples ‖ train) in nats
    of the 20 amino acids; one is added to every count of the train split, so that it is
    finite.
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
    """KL of counts of amino acids; NaN where there are none."""
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

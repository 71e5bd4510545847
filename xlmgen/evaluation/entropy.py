"""Entropy of independently drawn tokens."""

import math
from collections.abc import Iterable


def entropy(counts: Iterable[int]) -> float:
    """Entropy in nats of the distribution with these counts; 0 for no counts.

    For the token counts of a text this is the unigram entropy: the nats per token of
    the best context-free model of that text.
    """
    positive = [count for count in counts if count]
    total = sum(positive)
    return math.fsum(-n / total * math.log(n / total) for n in positive)

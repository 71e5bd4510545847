"""The entropy of tokens that are drawn independently of each other."""

import math
from collections.abc import Iterable


def entropy(counts: Iterable[int]) -> float:
    """Entropy in nats of the distribution with these counts; 0 without any.

    Of the counts of a text's tokens it is the unigram entropy: nats per token of the
    best model of that text that sees no context.
    """
    positive = [count for count in counts if count]
    total = sum(positive)
    return math.fsum(-n / total * math.log(n / total) for n in positive)

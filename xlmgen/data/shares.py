"""Which rows of train a share takes: those whose texts come first by their hashes.

Each share takes so many of the different texts, at least one, and every row that has
one of them, so that no text is in two splits.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping

import numpy as np

from xlmgen.data.digests import canonical

Bounds = list[tuple[str, int]]
"""Where in the order of the hashes each share ends."""


def key(seed: int, texts: tuple[str, ...]) -> int:
    """64 bits of the hash of a row's texts and the seed."""
    # JSON keeps the boundaries between the columns.
    return int.from_bytes(hashlib.sha256(canonical([seed, *texts])).digest()[:8])


def bounds(keys: Iterable[int], shares: Mapping[str, float]) -> Bounds:
    """Where each share ends, with 8 bytes in memory for each row.

    Args:
        keys: of all rows.
        shares: of the different texts, by the splits that they make.
    """
    found = array("Q", keys)
    different = np.unique(np.frombuffer(found, np.uint64)) if found else found
    ends, stop = [], 0
    for split, share in shares.items():
        stop += max(1, round(share * len(different)))
        ends.append((split, int(different[stop]) if stop < len(different) else 1 << 64))
    return ends

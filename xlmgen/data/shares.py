"""Shares of train that become other splits, chosen by the hashes of texts.

Each share takes its fraction of the distinct texts, at least one, and every row with
one of these texts. So no text is in two splits.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping

import numpy as np

from xlmgen.data.digests import canonical

Bounds = list[tuple[str, int]]
"""Upper bound of the hashes of each share."""


def key(seed: int, texts: tuple[str, ...]) -> int:
    """64 bits of the hash of a row's texts and the seed."""
    # JSON keeps the boundaries between columns.
    return int.from_bytes(hashlib.sha256(canonical([seed, *texts])).digest()[:8])


def bounds(keys: Iterable[int], shares: Mapping[str, float]) -> Bounds:
    """Upper bounds of the shares; takes 8 bytes of memory per row.

    Args:
        keys: of all rows.
        shares: fractions of the distinct texts, by the splits that they become.
    """
    found = array("Q", keys)
    distinct = np.unique(np.frombuffer(found, np.uint64)) if found else found
    ends, stop = [], 0
    for split, share in shares.items():
        stop += max(1, round(share * len(distinct)))
        ends.append((split, int(distinct[stop]) if stop < len(distinct) else 1 << 64))
    return ends

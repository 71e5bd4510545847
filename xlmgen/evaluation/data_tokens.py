"""Loss of a split per token of its data."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from xlmgen.distributed import processes
from xlmgen.evaluation.likelihood import Likelihood


def per_data_token(
    likelihood: Likelihood, examples: Any, rows: int, layout: str
) -> dict[str, float]:
    """Nats and perplexity per token of the data, the same tokens for every family.

    Families take their own mean over different counts, such as predicted pads or
    insertion decisions. Here a row counts its tokens and its EOS (`count_tokens`).
    Empty for a family whose loss is not a likelihood. A collective call.
    """
    own = range(processes.rank(), rows, processes.count())
    counts = processes.gather(sum(count_tokens(examples[row], layout) for row in own))
    tokens = sum(counts)
    found: dict[str, float] = {}
    for name, value in likelihood.metrics.items():
        kind = name.removeprefix("sequence_")
        if kind in ("nll", "nll_bound") and kind != name and tokens:
            nats = value * rows / tokens
            found[f"data_{kind}"] = nats
            found[f"data_{kind.replace('nll', 'perplexity')}"] = float(
                torch.tensor(nats).double().exp()
            )
    return found


def likelihood_rows(
    likelihood: Likelihood, examples: Any, layout: str
) -> Iterator[dict[str, Any]]:
    """Nats and data tokens of every row, with a digest of its example.

    Two evaluations have the same question in a row if the digests are equal.
    """
    for row, nats in enumerate(likelihood.row_nats):
        yield {
            "row": row,
            "example": digest(examples[row]),
            "nats": nats if math.isfinite(nats) else None,
            "tokens": count_tokens(examples[row], layout),
        }


def digest(example: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that identify the ids of an example."""
    found = hashlib.blake2b(digest_size=8)
    for key in sorted(example):
        found.update(f"{key}\0".encode())
        found.update(np.asarray(example[key], dtype=np.int64).tobytes())
    return found.hexdigest()


def count_tokens(example: Mapping[str, Any], layout: str) -> int:
    """Tokens to predict: target and EOS without BOS; or the holes for `infill`."""
    if layout == "infill":
        return len(example["given"]) - int(sum(example["given"]))
    ids = example["target" if layout == "seq2seq" else "tokens"]
    if not example.get("packed"):
        return len(ids) + 1
    return len(ids) - int(example["documents"][-1] if "documents" in example else 1)

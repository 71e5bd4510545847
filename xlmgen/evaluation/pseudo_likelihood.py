"""Pseudo-log-likelihood of a masked model: every token given all others.

A masked language model whose loss is not a likelihood bound is reported instead by
−Σᵢ log p(xᵢ | x₋ᵢ) (Wang and Cho 2019, arXiv:1902.04094; Salazar et al. 2020,
arXiv:1910.14659): every token is masked alone, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import move_data_to_device
from torch import Tensor

from xlmgen.data.batches import Request, batch_seed
from xlmgen.distributed import processes
from xlmgen.errors import UserError
from xlmgen.evaluation.likelihood import SplitRows, ratio_error
from xlmgen.runtime.nn import LanguageModel, linear_cross_entropy
from xlmgen.spec.family import FamilySpec

AfterBatch = Callable[[int], None]
"""Called with the number of rows finished since the last call."""


@dataclass(frozen=True)
class PseudoLikelihood:
    """Pseudo-log-likelihood of a split.

    Args:
        metrics: nats per token, their exponential, and nats per row.
        standard_error: of the nats per token, over rows.
    """

    metrics: Mapping[str, float]
    standard_error: float


def require_masked_tokens(spec: FamilySpec) -> None:
    """Refuse a family whose network cannot predict one masked token of a clean row.

    Raises:
        UserError: the objective is not masked prediction, or the network is
            time-conditioned.
    """
    provided = spec.provided
    if "objective:masked" not in provided:
        raise UserError(
            f"--pseudo-likelihood: the family {spec.name} is not trained as a masked "
            f"language model, so it has no pseudo-likelihood",
            "leave the option out; this family reports its loss",
        )
    if "time_input" in provided:
        raise UserError(
            f"--pseudo-likelihood: the network of the family {spec.name} is "
            f"time-conditioned, and a row with one mask has no noise time",
            "leave the option out, or give the family a model without a time input",
        )


def measure_pseudo_likelihood(
    model: LanguageModel,
    rows: SplitRows,
    *,
    mask: int,
    device: torch.device,
    after_batch: AfterBatch = lambda rows: None,
) -> PseudoLikelihood:
    """Measure the pseudo-log-likelihood of every one of the rows.

    Args:
        model: on the device, in evaluation mode.
        rows: of the split; the positions that their collator masks are not used. A
            forward pass takes at most `batch_size` masked copies of rows.
        mask: id of MASK.
        after_batch: called with the number of rows finished since the last call.
    """
    batches, size = rows.batches, rows.batch_size
    nll = torch.zeros(rows.count, dtype=torch.float64)
    tokens = torch.zeros(rows.count, dtype=torch.float64)
    starts = range(0, rows.count, size)[processes.rank() :: processes.count()]
    with torch.inference_mode():
        for first in starts:
            indices = list(range(first, min(first + size, rows.count)))
            batch = batches[Request(tuple(indices), batch_seed(0, "test", first, 0))]
            batch = move_data_to_device(batch, device)
            nll[indices] = pseudo_nll(model, batch, mask, size, after_batch).cpu()
            tokens[indices] = batch["maskable"].sum(1).double().cpu()
    nll, tokens = (torch.stack(processes.gather(part)).sum(0) for part in (nll, tokens))
    mean = nll.sum() / tokens.sum()
    return PseudoLikelihood(
        {
            "pseudo_nll": float(mean),
            "pseudo_perplexity": float(mean.exp()),
            "sequence_pseudo_nll": float(nll.mean()),
        },
        ratio_error(nll, tokens),
    )


def pseudo_nll(
    model: LanguageModel,
    batch: Mapping[str, Any],
    mask: int,
    batch_size: int,
    after_batch: AfterBatch = lambda rows: None,
) -> Tensor:
    """−Σᵢ log p(xᵢ | x₋ᵢ) of every row over its maskable tokens, in nats.

    Args:
        batch: `target_ids` (B, L), `maskable` (B, L) and `attention_mask` (B, L) or
            None; no other key is used.
        mask: id of MASK.
        batch_size: the most masked copies of rows in one forward pass.
        after_batch: called with the number of rows finished since the last call.

    Returns:
        (B,) float64.
    """
    clean, attended = batch["target_ids"], batch["attention_mask"]
    nll = torch.zeros(len(clean), dtype=torch.float64, device=clean.device)
    finished = 0
    for row, column in _positions(batch["maskable"], batch_size):
        copies = torch.arange(len(row), device=row.device)
        ids = clean[row]
        ids[copies, column] = mask
        attention_mask = None if attended is None else attended[row]
        positions = copies * clean.shape[1] + column
        hidden = model(ids, attention_mask, positions=positions)  # (N, D)
        token_nll = linear_cross_entropy(  # a clean token is never MASK
            hidden, model.head, clean[row, column], suppress_tokens=(mask,)
        )
        nll.index_add_(0, row, token_nll.double())
        after_batch(int(row[-1]) - finished)  # the last row may continue
        finished = int(row[-1])
    after_batch(len(clean) - finished)
    return nll


def _positions(maskable: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and columns of the maskable positions, row by row, `size` at a time."""
    positions = maskable.nonzero()
    for first in range(0, len(positions), size):
        chunk = positions[first : first + size]
        yield chunk[:, 0], chunk[:, 1]

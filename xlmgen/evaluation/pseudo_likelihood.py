"""Pseudo-log-likelihood: what a masked model says of every token given all others.

A masked language model defines no likelihood where its loss bounds none. What is
reported of it instead is −Σᵢ log p(xᵢ | x₋ᵢ) (Wang and Cho 2019, arXiv:1902.04094;
Salazar et al. 2020, arXiv:1910.14659): every token is masked alone, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import move_data_to_device
from torch import Tensor

from xlmgen.data.batches import Batches, Collator, Request, batch_seed
from xlmgen.distributed import processes
from xlmgen.errors import UserError
from xlmgen.evaluation.likelihood import ratio_error
from xlmgen.runtime.nn import LanguageModel, linear_cross_entropy
from xlmgen.spec.contracts import capabilities
from xlmgen.spec.family import FamilySpec

AfterBatch = Callable[[int], None]
"""Called with the number of rows that were finished since the last call."""


@dataclass(frozen=True)
class PseudoLikelihood:
    """What a split costs when every token is masked alone.

    Args:
        metrics: nats per token, their exponential, and nats per row.
        standard_error: of the nats per token, over rows.
    """

    metrics: Mapping[str, float]
    standard_error: float


def require_masked_tokens(spec: FamilySpec) -> None:
    """Refuse a family whose network cannot be asked for one masked token.

    Raises:
        UserError: its objective is another, or its network is told a time.
    """
    provided = capabilities(spec.blocks, spec.project.schemas)
    if "objective:masked" not in provided:
        raise UserError(
            f"--pseudo-likelihood: the family {spec.name} is not trained as a masked "
            f"language model, so that it has none",
            "leave the option out; the loss says what the family has",
        )
    if "time_input" in provided:
        raise UserError(
            f"--pseudo-likelihood: the network of the family {spec.name} is told a "
            f"noise time, which a row with one mask has not got",
            "leave the option out, or give the family a model without a time input",
        )


def measure_pseudo_likelihood(
    model: LanguageModel,
    examples: Any,
    collator: Collator,
    *,
    mask: int,
    rows: int,
    batch_size: int,
    device: torch.device,
    after_batch: AfterBatch = lambda rows: None,
) -> PseudoLikelihood:
    """Measure the first `rows` examples.

    Args:
        model: on the device, in evaluation mode.
        collator: the family's training collator; what it masks is not used.
        mask: id of MASK.
        batch_size: the most masked copies of rows in one forward pass.
    """
    batches = Batches(examples, collator)
    nll = torch.zeros(rows, dtype=torch.float64)
    tokens = torch.zeros(rows, dtype=torch.float64)
    starts = range(0, rows, batch_size)[processes.rank() :: processes.count()]
    with torch.inference_mode():
        for first in starts:
            chosen = tuple(range(first, min(first + batch_size, rows)))
            batch = batches[Request(chosen, batch_seed(0, "test", first, 0))]
            batch = move_data_to_device(batch, device)
            row_nll = pseudo_nll(model, batch, mask, batch_size, after_batch)
            nll[list(chosen)] = row_nll.cpu()
            tokens[list(chosen)] = batch["maskable"].sum(1).double().cpu()
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
            None; nothing else of it is used.

    Returns:
        (B,) float64.
    """
    clean, attended = batch["target_ids"], batch["attention_mask"]
    nll = torch.zeros(len(clean), dtype=torch.float64, device=clean.device)
    finished = 0
    for row, column in _places(batch["maskable"], batch_size):
        copies = torch.arange(len(row), device=row.device)
        ids = clean[row]
        ids[copies, column] = mask
        attention_mask = None if attended is None else attended[row]
        at = copies * clean.shape[1] + column
        hidden = model(ids, attention_mask, at=at)  # (N, D)
        token_nll = linear_cross_entropy(  # a clean token is never MASK
            hidden, model.head, clean[row, column], suppress_tokens=(mask,)
        )
        nll.index_add_(0, row, token_nll.double())
        after_batch(int(row[-1]) - finished)  # the last row may go on
        finished = int(row[-1])
    after_batch(len(clean) - finished)
    return nll


def _places(maskable: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and columns of the true places, row by row, `size` of them at a time."""
    places = maskable.nonzero()
    for first in range(0, len(places), size):
        some = places[first : first + size]
        yield some[:, 0], some[:, 1]

"""The loss of a whole split: exact, or a bound estimated by stratified Monte Carlo."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data import DataLoader

from xlmgen.data.batches import Batches, Collator, Request, batch_seed
from xlmgen.distributed import processes

NOTHING_MEASURED = (
    r"The ``compute`` method of metric \w+ was called before the ``update`` method"
)
"""What torchmetrics warns of on a process that had no batch."""


Measure = Callable[[Mapping[str, Any]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Likelihood:
    """What a split costs the model, in nats per token.

    Args:
        metrics: the family's own, `loss` first.
        draws: Monte Carlo draws per row; 1 where the loss is not random.
        standard_error: of the mean over rows, as a sample of all possible rows.
        monte_carlo_error: the part of it that more draws would take away; 0 where the
            loss is not random. An upper bound, since the draws of a row are stratified.
    """

    metrics: Mapping[str, float]
    draws: int
    standard_error: float
    monte_carlo_error: float


def measure_split(
    measure: Measure,
    metrics: Any,
    examples: Any,
    collator: Collator,
    *,
    rows: int,
    split: str,
    draws: int,
    batch_size: int,
    device: torch.device,
    after_batch: Callable[[int], None] = lambda rows: None,
) -> Likelihood:
    """Measure the loss of the first `rows` examples, every one of them.

    Args:
        measure: the loss's output on a batch; the model is in evaluation mode.
        metrics: the family's torchmetrics of that output, on the device.
        examples: of the split.
        collator: the family's training collator, made for evaluation.
        draws: per row, where the loss is random.
        batch_size: the most rows of a batch, repetitions counted.
        after_batch: called with the rows of a batch, repetitions counted.
    """
    batches = Batches(examples, collator)
    if not _is_random(measure, batches, min(rows, batch_size), split, device):
        draws = 1
    nll = torch.zeros(rows, dtype=torch.float64)
    squares = torch.zeros(rows, dtype=torch.float64)
    tokens = torch.zeros(rows, dtype=torch.float64)
    plan = list(requests(rows, draws, batch_size, split))
    plan = plan[processes.rank() :: processes.count()]
    loader = DataLoader(batches, sampler=plan, batch_size=None, collate_fn=_same)
    metrics.reset()
    with torch.inference_mode():
        for request, batch in zip(plan, loader, strict=True):
            torch.manual_seed(request.seed)  # a batch draws the same on any process
            output = measure(move_data_to_device(batch, device))
            metrics.update(output)
            index = torch.tensor(request.rows)
            values = output["nll"].double().cpu()
            nll.index_add_(0, index, values)
            squares.index_add_(0, index, values.square())
            tokens.index_add_(0, index, output["num_tokens"].double().cpu())
            after_batch(len(request.rows))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NOTHING_MEASURED)
        computed = metrics.compute()  # over all processes
    means = {name: float(value) for name, value in computed.items()}
    metrics.reset()
    nll, squares, tokens = (
        torch.stack(processes.gather(part)).sum(0) / draws
        for part in (nll, squares, tokens)
    )
    mean = float(nll.sum() / tokens.sum())
    return Likelihood(
        {"loss": mean, **means},
        draws,
        ratio_error(nll, tokens),
        _monte_carlo_error(nll, squares, tokens, draws),
    )


def requests(rows: int, draws: int, batch_size: int, split: str) -> Iterator[Request]:
    """Batches in which every row comes `draws` times.

    A batch holds its rows once, then again, and so on. Where a collator spreads the
    times of a batch evenly, those of each row are then evenly spread, too.
    """
    index = 0
    for first_draw in range(0, draws, batch_size):
        repeats = min(batch_size, draws - first_draw)
        width = batch_size // repeats
        for first in range(0, rows, width):
            some = tuple(range(first, min(first + width, rows)))
            yield Request(some * repeats, batch_seed(0, split, index, 0))
            index += 1


def _is_random(
    measure: Measure, batches: Batches, rows: int, split: str, device: torch.device
) -> bool:
    """Whether two draws of the first rows' loss differ."""
    found: list[Tensor] = []
    with torch.inference_mode():
        for seed in (1, 2):
            torch.manual_seed(seed)
            request = Request(tuple(range(rows)), batch_seed(seed, split, 0, 0))
            batch = move_data_to_device(batches[request], device)
            found.append(measure(batch)["nll"])
    return not torch.equal(*found)


def ratio_error(nll: Tensor, tokens: Tensor) -> float:
    """Standard error of `Σ nll / Σ tokens` over rows (the delta method)."""
    count = len(nll)
    if count < 2:
        return math.nan
    residual = nll - tokens * (nll.sum() / tokens.sum())
    variance = residual.square().sum() / (count - 1)
    return float((variance / count).sqrt() / tokens.mean())


def _monte_carlo_error(
    nll: Tensor, squares: Tensor, tokens: Tensor, draws: int
) -> float:
    """Standard error of the same mean over draws, for these rows."""
    if draws < 2:
        return 0.0
    variance = (squares - nll.square()).clamp(min=0) * draws / (draws - 1)
    return float((variance / draws).sum().sqrt() / tokens.sum())


def _same(batch: Any) -> Any:
    return batch

"""Loss of a split: exact, or a bound estimated by stratified Monte Carlo."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Warning of torchmetrics on a process that had no batch."""

Measure = Callable[[Mapping[str, Any]], Mapping[str, Tensor]]
"""The loss's output on a batch; the model is in evaluation mode."""
AfterBatch = Callable[[int, Mapping[str, Tensor]], None]
"""Called with the rows of a batch, repetitions counted, and the loss's output."""


@dataclass(frozen=True)
class SplitRows:
    """The first rows of a split, and how a measurement batches them.

    Args:
        split: name of the split.
        examples: all examples of the split.
        collator: the family's training collator, made for evaluation.
        count: number of rows to measure, from the first on.
        batch_size: the most rows of a batch, repetitions counted.
    """

    split: str
    examples: Any
    collator: Collator
    count: int
    batch_size: int

    @property
    def batches(self) -> Batches:
        return Batches(self.examples, self.collator)


@dataclass(frozen=True)
class Likelihood:
    """The loss of a split, in nats per token.

    Args:
        metrics: the family's own, `loss` first.
        draws: Monte Carlo draws per row; 1 where the loss is deterministic.
        standard_error: of the mean, over rows as a sample of all possible rows.
        monte_carlo_error: the part of `standard_error` that more draws would remove; 0
            where the loss is deterministic. An upper bound, since the draws of a row
            are stratified.
        row_nats: negative log-likelihood of every row in nats, or its bound; empty for
            a family whose metrics have none.
    """

    metrics: Mapping[str, float]
    draws: int
    standard_error: float
    monte_carlo_error: float
    row_nats: Sequence[float] = ()


def measure_split(
    measure: Measure,
    metrics: Any,
    rows: SplitRows,
    *,
    draws: int,
    device: torch.device,
    after_batch: Callable[[int], None] = lambda rows: None,
) -> Likelihood:
    """Measure the loss of every one of the rows.

    Args:
        measure: the loss's output on a batch.
        metrics: the family's torchmetrics of that output, on the device.
        rows: of the split.
        draws: Monte Carlo draws per row, where the loss is random.
        after_batch: called with the rows of a batch, repetitions counted.
    """
    metrics.reset()

    def update(rows: int, output: Mapping[str, Tensor]) -> None:
        metrics.update(output)
        after_batch(rows)

    key = nats_key(metrics)
    losses = measure_rows(
        measure, rows, nats_key=key, draws=draws, device=device, after_batch=update
    )
    means = _computed(metrics)
    loss, tokens = losses.loss, losses.tokens
    return Likelihood(
        {"loss": float(loss.sum() / tokens.sum()), **means},
        losses.draws,
        ratio_error(loss, tokens),
        _monte_carlo_error(loss, losses.squares, tokens, losses.draws),
        losses.nats.tolist() if key else (),
    )


def nats_key(metrics: Any) -> str | None:
    """Key of the negative log-likelihood of rows in the output of a family's loss.

    It is that of the sum of `NllMetric`; None for other metrics.
    """
    found: str | None = getattr(metrics, "numerator", None)
    return found


@dataclass(frozen=True)
class RowLosses:
    """Losses of rows: means over draws, each (rows,), float64, on the CPU.

    Args:
        loss: minimised loss of each row.
        squares: of the losses.
        tokens: what the family divides the loss by.
        nats: negative log-likelihood of each row, or its bound; the loss where the
            output has none.
        nats_squares: of `nats`.
        draws: Monte Carlo draws per row; 1 where the loss is deterministic.
    """

    loss: Tensor
    squares: Tensor
    tokens: Tensor
    nats: Tensor
    nats_squares: Tensor
    draws: int

    @property
    def nats_errors(self) -> Tensor:
        """(rows,) standard errors of `nats` over the draws; an upper bound."""
        if self.draws == 1:
            return torch.zeros_like(self.nats)
        variance = (self.nats_squares - self.nats.square()).clamp(min=0)
        return (variance / (self.draws - 1)).sqrt()


def measure_rows(
    measure: Measure,
    rows: SplitRows,
    *,
    nats_key: str | None,
    draws: int,
    device: torch.device,
    after_batch: AfterBatch = lambda rows, output: None,
) -> RowLosses:
    """Measure the loss of each of the rows. A collective call.

    Args:
        measure: the loss's output on a batch.
        rows: of the split.
        nats_key: see `nats_key`.
        draws: Monte Carlo draws per row, where the loss is random.
        after_batch: called with the rows of a batch, repetitions counted, and the
            loss's output.
    """
    if not _is_random(measure, rows, device):
        draws = 1
    plan = list(requests(rows.count, draws, rows.batch_size, rows.split))
    plan = plan[processes.rank() :: processes.count()]
    loader = DataLoader(rows.batches, sampler=plan, batch_size=None, collate_fn=_same)
    sums = torch.zeros(5, rows.count, dtype=torch.float64)
    with torch.inference_mode():
        for request, batch in zip(plan, loader, strict=True):
            torch.manual_seed(request.seed)  # a batch draws the same on any process
            output = measure(move_data_to_device(batch, device))
            loss, tokens, nats = (
                output[key].double().cpu()
                for key in ("row_loss", "normalizer", nats_key or "row_loss")
            )
            added = torch.stack([loss, loss.square(), tokens, nats, nats.square()])
            sums.index_add_(1, torch.tensor(request.rows), added)
            after_batch(len(request.rows), output)
    loss, squares, tokens, nats, nats_squares = (
        torch.stack(processes.gather(sums)).sum(0) / draws
    )
    return RowLosses(loss, squares, tokens, nats, nats_squares, draws)


def _computed(metrics: Any) -> dict[str, float]:
    """Values of the metrics over all processes; resets them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", NOTHING_MEASURED)
        values = metrics.compute()
    metrics.reset()
    return {name: float(value) for name, value in values.items()}


def requests(rows: int, draws: int, batch_size: int, split: str) -> Iterator[Request]:
    """Plan batches in which every row occurs `draws` times.

    A batch lists its rows once, then again, and so on. A collator that spreads noise
    times evenly over a batch then also spreads those of each row.
    """
    index = 0
    for first_draw in range(0, draws, batch_size):
        repeats = min(batch_size, draws - first_draw)
        width = batch_size // repeats
        for first in range(0, rows, width):
            some = tuple(range(first, min(first + width, rows)))
            yield Request(some * repeats, batch_seed(0, split, index, 0))
            index += 1


def _is_random(measure: Measure, rows: SplitRows, device: torch.device) -> bool:
    """Whether two draws of the first batch's loss differ."""
    batches, first = rows.batches, tuple(range(min(rows.count, rows.batch_size)))
    found: list[Tensor] = []
    with torch.inference_mode():
        for seed in (1, 2):
            torch.manual_seed(seed)
            request = Request(first, batch_seed(seed, rows.split, 0, 0))
            output = measure(move_data_to_device(batches[request], device))
            found.append(output["row_loss"])
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
    """Standard error of `Σ nll / Σ tokens` over the draws of these rows."""
    if draws < 2:
        return 0.0
    variance = (squares - nll.square()).clamp(min=0) * draws / (draws - 1)
    return float((variance / draws).sum().sqrt() / tokens.sum())


def _same(batch: Any) -> Any:
    return batch

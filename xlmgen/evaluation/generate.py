"""Answers to a whole split, or to some prompts: no row dropped, none twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import move_data_to_device
from torch import nn

from xlmgen.data.batches import batch_seed
from xlmgen.distributed import processes
from xlmgen.runtime.sampling import Generation

AfterBatch = Callable[[int], None]
"""Called with the number of rows that a batch answered."""


@dataclass(frozen=True)
class Answers:
    """The answers of some rows.

    Args:
        rows: numbers of the examples, ascending.
        ids: an answer for each, cut at its EOS.
        forward_passes: of all batches.
    """

    rows: tuple[int, ...]
    ids: tuple[list[int], ...]
    forward_passes: int


def generate_answers(
    model: nn.Module,
    predictor: Any,
    batches: Iterable[tuple[Any, Sequence[int]]],
    *,
    eos: int,
    device: torch.device,
    seed: int,
    after_batch: AfterBatch = lambda rows: None,
) -> Answers:
    """Answer every batch, on every process its own, and gather them.

    Args:
        batches: what `DataModule.predict_dataloader` gives.
        eos: the id that ends an answer.
        seed: of the sampling. A batch is sampled alike on whatever process.
    """
    generator = torch.Generator(device)
    answers: dict[int, list[int]] = {}
    passes = 0
    for batch, rows in batches:
        generator.manual_seed(batch_seed(seed, "sampling", rows[0], 0))
        generation = generate(model, predictor, batch, device, generator)
        answers |= zip(rows, generation.answers(eos), strict=True)
        passes += generation.forward_passes
        after_batch(len(rows))
    parts = processes.gather((answers, passes))
    ordered = sorted(pair for part, _ in parts for pair in part.items())
    return Answers(
        tuple(row for row, _ in ordered),
        tuple(ids for _, ids in ordered),
        sum(count for _, count in parts),
    )


def generate(
    model: nn.Module,
    predictor: Any,
    batch: Any,
    device: torch.device,
    generator: torch.Generator,
    *,
    trace: bool = False,
) -> Generation:
    """One batch, with the model in evaluation mode for the while."""
    training = model.training
    model.eval()
    try:
        generation: Generation = predictor.generate(
            model, move_data_to_device(batch, device), generator=generator, trace=trace
        )
    finally:
        model.train(training)
    return generation

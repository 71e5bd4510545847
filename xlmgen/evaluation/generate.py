"""Answers to a whole split, or to some prompts: no row dropped, none twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import move_data_to_device
from torch import nn

from xlmgen.sampling import Generation

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
        seed: of the sampling; each process goes on from its own.
    """
    rank, processes = _process()
    generator = torch.Generator(device).manual_seed(seed * processes + rank)
    answers: dict[int, list[int]] = {}
    passes = 0
    for batch, rows in batches:
        generation = generate(model, predictor, batch, device, generator)
        answers |= zip(rows, generation.answers(eos), strict=True)
        passes += generation.forward_passes
        after_batch(len(rows))
    if processes > 1:
        parts: list[Any] = [None] * processes
        torch.distributed.all_gather_object(parts, (answers, passes))
        answers = {row: ids for part, _ in parts for row, ids in part.items()}
        passes = sum(count for _, count in parts)
    ordered = sorted(answers.items())
    return Answers(
        tuple(row for row, _ in ordered), tuple(ids for _, ids in ordered), passes
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


def _process() -> tuple[int, int]:
    """Rank of this process and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1

"""Answers to the rows of a split: each row once, none dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch.utilities import move_data_to_device
from torch import nn

from xlmgen.data.batches import batch_seed
from xlmgen.data.datamodule import GENERATION_USES, DataModule
from xlmgen.distributed import processes
from xlmgen.evaluation.order import written_order
from xlmgen.runtime.generation import Generation

TRACED = 8
"""Number of rows, from the first, whose order of writing is recorded."""
AfterBatch = Callable[[int], None]
"""Called with the number of rows answered by a batch."""


@dataclass(frozen=True)
class Answers:
    """The answers of some rows.

    Args:
        rows: indices of the examples, ascending.
        ids: the answer to each, cut at its EOS.
        forward_passes: total over all batches.
        orders: see `written_order`; of the first `TRACED` rows.
    """

    rows: tuple[int, ...]
    ids: tuple[list[int], ...]
    forward_passes: int
    orders: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)


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
    """Answer the batches of every process, and gather the answers.

    Args:
        batches: pairs of batch and row indices, from `DataModule.predict_dataloader`.
        eos: the id that ends an answer.
        seed: of the sampling. A batch gets the same samples on any process.
    """
    generator = torch.Generator(device)
    answers: dict[int, list[int]] = {}
    orders: dict[int, list[tuple[int, int]]] = {}
    passes = 0
    for batch, rows in batches:
        generator.manual_seed(batch_seed(seed, "sampling", rows[0], 0))
        traced = rows[0] < TRACED
        generation = generate(model, predictor, batch, device, generator, trace=traced)
        answers |= zip(rows, generation.answers(eos), strict=True)
        if traced:
            orders |= {
                row: written_order(generation, index, eos)
                for index, row in enumerate(rows)
                if row < TRACED
            }
        passes += generation.forward_passes
        after_batch(len(rows))
    parts = processes.gather((answers, passes, orders))
    ordered = sorted(pair for part, _, _ in parts for pair in part.items())
    return Answers(
        tuple(row for row, _ in ordered),
        tuple(ids for _, ids in ordered),
        sum(count for _, count, _ in parts),
        {row: order for *_, part in parts for row, order in part.items()},
    )


def generate_examples(
    model: nn.Module,
    predictor: Any,
    data: DataModule,
    examples: Sequence[Mapping[str, Any]],
    device: torch.device,
    *,
    seed: int,
    trace: bool = False,
    part: slice = slice(None),
    batch_size: int | None = None,
) -> Iterator[tuple[int, Generation]]:
    """Collate and answer examples in batches, one at a time.

    Args:
        seed: of the sampling. A batch gets the same samples whatever part is asked for.
        part: the batches to answer.
        batch_size: the most rows of a batch; that of `data` by default.

    Yields:
        The index of a batch's first example, and the generation of the batch.
    """
    size = batch_size or data.eval_batch_size
    collator = data.collator(GENERATION_USES[data.task.layout])
    generator = torch.Generator(device)
    for first in range(0, len(examples), size)[part]:
        some = list(examples[first : first + size])
        generator.manual_seed(batch_seed(seed, "sampling", first, 0))
        batch = collator(some, torch.Generator().manual_seed(seed))
        yield first, generate(model, predictor, batch, device, generator, trace=trace)


def generate(
    model: nn.Module,
    predictor: Any,
    batch: Any,
    device: torch.device,
    generator: torch.Generator,
    *,
    trace: bool = False,
) -> Generation:
    """Answer one batch with the model in evaluation mode; restores its mode."""
    training = model.training
    model.eval()
    try:
        generation: Generation = predictor.generate(
            model, move_data_to_device(batch, device), generator=generator, trace=trace
        )
    finally:
        model.train(training)
    return generation

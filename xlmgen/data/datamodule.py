"""The data loaders of a task for a family."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from xlmgen.data.batches import (
    Batches,
    Collator,
    EvaluationSampler,
    TrainingSampler,
)
from xlmgen.data.examples import Example, Examples, Ints
from xlmgen.data.task import Task
from xlmgen.data.workers import leave_signals_to_the_parent
from xlmgen.distributed import processes
from xlmgen.errors import UserError
from xlmgen.runtime.family import Family
from xlmgen.tasks.spec import SPLITS, check_split

TRAINING_USES = {"lm": "lm", "seq2seq": "seq2seq", "infill": "infill"}
GENERATION_USES = {
    "lm": "unconditional",
    "seq2seq": "predict",
    "infill": "predict_infill",
}


class DataModule(LightningDataModule):
    """Batches of a task as a family's collators lay them out.

    The trainer must leave the samplers alone (`use_distributed_sampler=False`): they
    know the ranks.

    Args:
        task: the task.
        family: its collators are chosen by the task's layout.
        batch_size: training rows on each device.
        eval_batch_size: the most rows of a batch for validation, test and generation.
        seed: of the training order and corruption; evaluation does not depend on it.
        num_workers: processes that make batches; 0 makes them in this one. The number
            changes no batch.
        by_length: make training batches of rows of like lengths, so that fewer pads are
            computed; blocks of a packed stream are of one length as it is.
        start_method: how workers are started (`fork`, `spawn`, `forkserver`); the
            platform's own way by default.
        pin_memory: put batches in page-locked memory, for a GPU.

    Attributes:
        start_batch: the training batch to begin with, 0 for a new run; the number of
            batches that a continued run was trained on. Batches are counted, not
            optimiser steps.
    """

    def __init__(
        self,
        task: Task,
        family: Family,
        *,
        batch_size: int,
        eval_batch_size: int,
        seed: int,
        num_workers: int = 0,
        by_length: bool = False,
        start_method: str | None = None,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.task = task
        self.family = family
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed
        self.num_workers = num_workers
        self.by_length = by_length
        self.start_method = start_method
        self.pin_memory = pin_memory
        self.start_batch = 0
        # Fewer batches than ranks: some have none to measure.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def prepare_data(self) -> None:
        """Fill the cache, in one process before the others look into it."""
        for split in SPLITS:
            self.task.examples(split)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches without end, from `start_batch` on."""
        return self._loader(*self.training_batches())

    def training_batches(
        self, ranks: Mapping[str, int] | None = None
    ) -> tuple[Batches, TrainingSampler]:
        """What training reads: its batches, and the requests for them one by one.

        Args:
            ranks: `rank` and `world_size`, instead of those of the processes there are.
        """
        examples = self.task.examples("train")
        sampler = TrainingSampler(
            len(examples),
            self.batch_size,
            seed=self.seed,
            start=self.start_batch,
            lengths=self._lengths(examples),
            **(ranks or self._ranks()),
        )
        collator = self.collator(TRAINING_USES[self.task.layout])
        return Batches(examples, collator), sampler

    def evaluation_batches(self, split: str) -> tuple[Batches, EvaluationSampler]:
        """What the loss of a split is measured on, as `training_batches` gives it."""
        examples = self.task.examples(split)
        sampler = EvaluationSampler(
            len(examples), self.eval_batch_size, stream=split, **self._ranks()
        )
        collator = self.collator(TRAINING_USES[self.task.layout], evaluation=True)
        return Batches(examples, collator), sampler

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation split, for the loss."""
        return self._loader(*self.evaluation_batches("validation"))

    def test_dataloader(self) -> DataLoader[Any]:
        """The test split, for the loss."""
        return self._loader(*self.evaluation_batches("test"))

    def predict_dataloader(
        self, split: str = "test", limit: int | None = None
    ) -> DataLoader[Any]:
        """Batches to generate from: `(batch, rows)`.

        `rows` are the numbers of the batch's examples in `task.examples(split)`, where
        their targets are. For the layout lm there is nothing to start from: rows are
        numbered from 0 and as many as the split has.

        Args:
            split: which examples.
            limit: the first so many of them only.
        """
        check_split(split)
        examples = self.task.examples(split)
        count = len(examples) if limit is None else min(limit, len(examples))
        unconditional = self.task.layout == "lm"
        sampler = EvaluationSampler(
            count, self.eval_batch_size, stream=split, **self._ranks()
        )
        batches = Batches(
            [self.task.opening] * count if unconditional else examples,
            self.collator(GENERATION_USES[self.task.layout]),
            with_rows=True,
        )
        return self._loader(batches, sampler)

    def collator(self, use: str, **options: bool) -> Collator:
        """The family's collator for a use.

        Args:
            options: those of a training use have `evaluation`, with which a loss is
                measured over the whole of its noise.

        Raises:
            UserError: the family cannot be used so.
        """
        if use not in self.family.collators:
            known = ", ".join(self.family.collators)
            raise UserError(
                f"the family {self.family.name} has no collator '{use}', which task "
                f"{self.task.name} with the layout {self.task.layout} needs",
                f"choose another task; the family's collators are {known}",
            )
        collator: Collator = self.family.collators[use](
            self.task.tokenizer.special, self.task.block, **options
        )
        return collator

    def _lengths(self, examples: Sequence[Example]) -> Ints | None:
        if self.by_length and isinstance(examples, Examples):
            return examples.lengths
        return None

    def _ranks(self) -> dict[str, int]:
        return {"rank": processes.rank(), "world_size": processes.count()}

    def _loader(
        self, batches: Batches, sampler: TrainingSampler | EvaluationSampler
    ) -> DataLoader[Any]:
        return DataLoader(
            batches,
            sampler=sampler,
            batch_size=None,  # an item is a whole batch already
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            worker_init_fn=leave_signals_to_the_parent,
            multiprocessing_context=self.start_method if self.num_workers else None,
            pin_memory=self.pin_memory,
        )


def _as_it_is(batch: Any) -> Any:
    return batch

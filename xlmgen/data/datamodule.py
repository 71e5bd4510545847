"""Data loaders of a task for a family."""

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
    """Batches of a task, in the layout of a family's collators.

    The samplers split rows over ranks themselves, so the trainer must not replace them
    (`use_distributed_sampler=False`).

    Args:
        task: the task.
        family: its collators are chosen by the task's layout.
        batch_size: training rows on each device.
        eval_batch_size: the most rows of a batch for validation, test and generation.
        seed: of the training order and corruption; evaluation does not depend on it.
        num_workers: worker processes; with 0 this process collates. The batches do not
            depend on the number.
        by_length: batch training rows of similar length, which saves padding. Packed
            rows have equal lengths and ignore it.
        start_method: of workers: `fork`, `spawn` or `forkserver`; the platform's
            default otherwise.
        pin_memory: put batches in page-locked memory, for a GPU.

    Attributes:
        start_batch: index of the first training batch. 0 for a new run; in a continued
            run the number of batches, not of optimiser steps, trained on so far.
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

    def prepare_data(self) -> None:
        """Fill the cache; Lightning calls it on one process before the others go on."""
        for split in SPLITS:
            self.task.examples(split)

    def train_dataloader(self) -> DataLoader[Any]:
        """Endless shuffled batches, from `start_batch` on."""
        return self._loader(*self.training_batches())

    def training_batches(
        self, ranks: Mapping[str, int] | None = None
    ) -> tuple[Batches, TrainingSampler]:
        """Data set and sampler of the training batches.

        Args:
            ranks: `rank` and `world_size`, instead of those of the current processes.
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
        """Data set and sampler of the batches for the loss of a split."""
        examples = self.task.examples(split)
        sampler = EvaluationSampler(
            len(examples), self.eval_batch_size, stream=split, **self._ranks()
        )
        collator = self.collator(TRAINING_USES[self.task.layout], evaluation=True)
        return Batches(examples, collator), sampler

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the validation split, for the loss."""
        return self._loader(*self.evaluation_batches("validation"))

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test split, for the loss."""
        return self._loader(*self.evaluation_batches("test"))

    def predict_dataloader(
        self, split: str = "test", limit: int | None = None
    ) -> DataLoader[Any]:
        """Batches to generate from, as pairs `(batch, rows)`.

        `rows` are the indices of the batch's examples in `task.examples(split)`, which
        has their targets. The layout `lm` has no prompts: it has as many empty contexts
        as the split has rows.

        Args:
            split: name of the split.
            limit: take the first `limit` rows only.
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
            use: a value of `TRAINING_USES` or `GENERATION_USES`.
            options: training uses take `evaluation`, with which the noise covers its
                full range.

        Raises:
            UserError: the family has no such collator.
        """
        if use not in self.family.collators:
            known = ", ".join(self.family.collators)
            raise UserError(
                f"the family {self.family.name} has no collator '{use}', which task "
                f"{self.task.name} with the layout {self.task.layout} needs",
                f"choose another task; the family's collators are {known}",
            )
        collator: Collator = self.family.collators[use](
            self.task.tokenizer.special, self.task.max_length, **options
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
            batch_size=None,  # an item is a complete batch already
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            worker_init_fn=leave_signals_to_the_parent,
            multiprocessing_context=self.start_method if self.num_workers else None,
            pin_memory=self.pin_memory,
        )


def _as_it_is(batch: Any) -> Any:
    return batch

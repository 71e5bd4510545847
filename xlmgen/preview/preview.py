"""Preview of the data of an experiment, for `xlmgen data`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from typing import Any

from torch import Tensor

from xlmgen.data.datamodule import DataModule
from xlmgen.data.lengths import Lengths, measure
from xlmgen.data.task import Task, load_task
from xlmgen.errors import UserError
from xlmgen.evaluation.scores import prompt_text
from xlmgen.experiment.family_check import family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.preview.histogram import Histogram, histogram
from xlmgen.preview.places import PER_ROW, Place, Reading, numbers, places, read
from xlmgen.registry import load_family, pin
from xlmgen.runs.build import data_module
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS
from xlmgen.tasks.spec import SPLITS


@dataclass(frozen=True)
class Batch:
    """One batch of a split, as used by training or evaluation.

    Args:
        index: of the batch in the split, from 0.
        step: the training step that uses it, from 1; None for evaluation.
        rank, ranks: rank of the process that gets it, and number of processes.
        rows: indices of its examples.
        data: output of the collator.
        reading: its interpretation; None where it is unknown.
    """

    index: int
    step: int | None
    rank: int
    ranks: int
    rows: tuple[int, ...]
    data: Any
    reading: Reading | None


@dataclass(frozen=True)
class Preview:
    """A task with its lengths, some examples and a batch.

    Args:
        experiment: resolved.
        task: of the experiment.
        split: of the histograms, the examples and the batch.
        lengths: of every split.
        first: index of the first example to show.
        num: number of examples and of rows of the batch to show.
        batch: the batch.
    """

    experiment: Experiment
    task: Task
    split: str
    lengths: Mapping[str, Lengths]
    first: int
    num: int
    batch: Batch

    @property
    def histograms(self) -> dict[str, Histogram]:
        """Histogram of the lengths of every part of the examples."""
        found = self.lengths[self.split]
        return {
            name: histogram(lengths, found.limits[name])
            for name, lengths in found.parts.items()
        }

    @property
    def examples(self) -> list[dict[str, Any]]:
        """The selected examples as text, with their lengths in tokens."""
        examples = self.task.examples(self.split)
        stop = min(self.first + self.num, len(examples))
        return [
            {"row": row, **_as_text(self.task, examples[row])}
            for row in range(self.first, stop)
        ]

    @property
    def numbers(self) -> dict[str, float]:
        """See `places.numbers`; empty where the batch is not interpreted."""
        batch = self.batch
        if batch.reading is None:
            return {}
        return numbers(batch.reading, batch.data, self.task.tokenizer.special)

    @property
    def keys(self) -> list[dict[str, Any]]:
        """Keys of the batch with shape and dtype, or value; whether each is shown."""
        data, reading = self.batch.data, self.batch.reading
        if not isinstance(data, Mapping):
            return [{"key": "batch", "type": type(data).__name__, "drawn": False}]
        drawn = set() if reading is None else reading.used | (set(PER_ROW) & set(data))
        return [
            {"key": k, **_described(v), "drawn": k in drawn} for k, v in data.items()
        ]

    def token(self, id_: int) -> str:
        """Displayed text of an id, even of one without a token."""
        tokenizer = self.task.tokenizer
        known = 0 <= id_ < tokenizer.vocab_size
        return (tokenizer.token(id_) if known else "") or f"<{id_}>"

    def places(self, row: int) -> list[Place]:
        """Places of a row of the batch."""
        reading = self.batch.reading
        if reading is None:
            return []
        return list(places(reading, row, self.task.tokenizer.special))

    def per_row(self, row: int) -> dict[str, float]:
        """Per-row numbers of the batch for this row."""
        data, count = self.batch.data, len(self.batch.rows)
        if not isinstance(data, Mapping):
            return {}
        return {
            key: value[row].item()
            for key in PER_ROW
            if isinstance(value := data.get(key), Tensor) and value.shape == (count,)
        }


def preview(
    experiment: Experiment,
    *,
    split: str = "train",
    num: int = 3,
    row: int = 0,
    batch: int = 0,
    rank: int = 0,
) -> Preview:
    """Read the task and collate one batch; writes only the cache.

    Args:
        experiment: resolved, and checked against its family and task.
        split: for `train` a training batch is shown, for other splits a batch of the
            loss.
        num: number of examples and of rows of the batch to show.
        row: index of the first example to show.
        batch: index of the batch in the split.
        rank: of the process that gets the batch.

    Raises:
        UserError: the parts do not fit together, or there is no such row, batch or
            rank.
    """
    folder = family_folder(experiment)
    task = load_task(experiment.task)
    pin(folder.parent)
    data = data_module(experiment, task, load_family(folder.name))
    lengths = {name: measure(task, name) for name in SPLITS}
    _refuse_beyond("--row", row, lengths[split].examples, f"examples in {split}")
    make = _training_batch if split == "train" else _evaluation_batch
    found = make(experiment, data, split, batch, rank)
    return Preview(experiment, task, split, lengths, row, num, found)


def to_data(preview: Preview) -> dict[str, Any]:
    """The preview as JSON values, with ids and displayed tokens."""
    task, batch = preview.task, preview.batch
    special = task.tokenizer.special
    return {
        "experiment": preview.experiment.name,
        "family": preview.experiment.family,
        "task": {
            "name": task.name,
            "title": task.title,
            "layout": task.layout,
            "packing": task.packing,
            "overflow": task.overflow,
            "max_length": {**asdict(task.max_length), "length": task.max_length.length},
        },
        "tokenizer": {
            "kind": task.tokenizer_options["kind"],
            "vocab_size": special.vocab_size,
            "special": special_tokens(task),
        },
        "splits": {
            name: {
                "examples": found.examples,
                "tokens": found.tokens,
                "dropped": found.dropped,
                "truncated": found.truncated,
            }
            for name, found in preview.lengths.items()
        },
        "split": preview.split,
        "lengths": {name: h.data() for name, h in preview.histograms.items()},
        "examples": preview.examples,
        "batch": {
            "index": batch.index,
            "step": batch.step,
            "seed": preview.experiment.training.seed if batch.step else None,
            "rank": batch.rank,
            "ranks": batch.ranks,
            "numbers": preview.numbers,
            "keys": preview.keys,
            "rows": [_row(preview, row) for row in shown_rows(preview)],
        },
    }


def shown_rows(preview: Preview) -> range:
    """Indices of the rows of the batch to show."""
    return range(min(preview.num, len(preview.batch.rows)))


def special_tokens(task: Task) -> dict[str, dict[str, Any]]:
    """Id and text of every special token, by role."""
    found = {}
    for name in SPECIAL_TOKENS:
        role = name.strip("[]").lower()
        id_ = getattr(task.tokenizer.special, role)
        found[role] = {"id": id_, "token": task.tokenizer.token(id_)}
    return found


def _training_batch(
    experiment: Experiment, data: DataModule, split: str, index: int, rank: int
) -> Batch:
    settings = experiment.training
    ranks = settings.devices * settings.num_nodes
    if rank >= ranks:
        raise UserError(
            f"--rank {rank}: training.devices × training.num_nodes is {ranks}",
            _up_to(ranks),
        )
    count = settings.max_steps * settings.accumulate
    noun = "training batches (training.max_steps × training.accumulate)"
    _refuse_beyond("--batch", index, count, noun)
    data.start_batch = index
    batches, sampler = data.training_batches({"rank": rank, "world_size": ranks})
    request = next(iter(sampler))
    made = batches[request]
    step = index // settings.accumulate + 1
    reading = read(made, data.task.tokenizer.special)
    return Batch(index, step, rank, ranks, request.rows, made, reading)


def _evaluation_batch(
    experiment: Experiment, data: DataModule, split: str, index: int, rank: int
) -> Batch:
    if rank:
        raise UserError(
            f"--rank {rank}: the batches of {split} are the same for every rank",
            "leave out --rank",
        )
    batches, sampler = data.evaluation_batches(split)
    _refuse_beyond("--batch", index, len(sampler), f"batches in {split}")
    request = next(islice(sampler, index, None))
    made = batches[request]
    reading = read(made, data.task.tokenizer.special)
    return Batch(index, None, 0, 1, request.rows, made, reading)


def _refuse_beyond(option: str, number: int, count: int, noun: str) -> None:
    if number >= count:
        raise UserError(
            f"{option} {number}: there are {count:,} {noun}",
            _up_to(count),
        )


def _up_to(count: int) -> str:
    return f"give a number from 0 to {count - 1}" if count > 1 else "leave it out"


def _as_text(task: Task, example: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of an example as text; with holes, also the prompt with `[MASK]`."""
    words = {
        key: task.decode(example[key])
        for key in ("prompt", "target", "tokens")
        if key in example
    }
    if "packed" in example:
        words["tokens"] = _with_special(task, example["tokens"])
    if "given" in example:
        words = {"prompt": prompt_text(task, example), **words}
    counts = {
        k: len(example[k]) for k in ("prompt", "target", "tokens") if k in example
    }
    return {**words, "lengths": counts}


def _with_special(task: Task, ids: Iterable[int]) -> str:
    """Text of ids, with special tokens by name."""
    special = {found["id"] for found in special_tokens(task).values()}
    parts: list[str] = []
    for named, group in groupby((int(id_) for id_ in ids), special.__contains__):
        run = list(group)
        parts += map(task.tokenizer.token, run) if named else [task.decode(run)]
    return "".join(parts)


def _described(value: Any) -> dict[str, Any]:
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return {"shape": list(value.shape), "dtype": dtype}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    return {"type": type(value).__name__}


def _row(preview: Preview, row: int) -> dict[str, Any]:
    shown = []
    for place in preview.places(row):
        values = {k: v for k, v in asdict(place).items() if v is not None}
        for key in ("input", "clean", "target"):
            if key in values:
                values[f"{key}_token"] = preview.token(values[key])
        shown.append(values)
    return {
        "row": row,
        "example": preview.batch.rows[row],
        **preview.per_row(row),
        "places": shown,
    }

"""What differs between runs beside the family: whether a comparison is fair."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xlmgen.data.task import load_task
from xlmgen.experiment.resolve import leaves
from xlmgen.registry import SPEC
from xlmgen.runs.run import TASK, TOKENIZER, Run
from xlmgen.spec.load import load_yaml

NOT_EXAMPLES = ("name", "title", "summary", "metrics")
"""Keys of a task that say nothing of its examples."""
TRAINING = (
    *("max_steps", "learning_rate", "warmup_steps", "schedule", "min_lr_ratio"),
    *("cooldown", "weight_decay", "betas", "gradient_clip", "on_nan", "ema_decay"),
    *("precision", "batching", "patience", "patience_metric"),
    "stop_when",
)
"""Settings of `training` that change what is learnt. The rows of a step stand for those
whose product they are; all else changes how fast, or what is written down."""


class Part(StrEnum):
    """What a setting belongs to."""

    task = "task"
    backbone = "backbone"
    training = "training"
    seed = "seed"


Settings = Mapping[tuple[Part, str], Any]
"""Values by the part that they belong to and their name."""


@dataclass(frozen=True)
class Difference:
    """A setting that is not the same for all runs.

    Args:
        part: what it belongs to.
        key: its name.
        values: of every run, in their order.
    """

    part: Part
    key: str
    values: tuple[Any, ...]


def differences(told: Sequence[Settings]) -> list[Difference]:
    """Everything that runs to be compared should share and do not; seeds last.

    Args:
        told: the settings of every run.
    """
    keys = dict.fromkeys(key for one in told for key in one)
    found = [
        Difference(part, key, tuple(one.get((part, key)) for one in told))
        for part, key in sorted(keys, key=lambda key: list(Part).index(key[0]))
    ]
    return [d for d in found if any(value != d.values[0] for value in d.values)]


def settings(run: Run) -> Settings:
    """Every setting of a run that decides what it is compared by.

    Raises:
        UserError: its task or family cannot be read.
    """
    return dict(_settings(run))


def _settings(run: Run) -> Iterator[tuple[tuple[Part, str], Any]]:
    task = load_task(run.path / TASK).settings
    for keys, value in leaves({k: v for k, v in task.items() if k not in NOT_EXAMPLES}):
        yield (Part.task, ".".join(keys)), value
    text = (run.path / TOKENIZER).read_bytes()
    yield (Part.task, TOKENIZER), hashlib.sha256(text).hexdigest()[:8]
    for function, digest in run.record.get("code", {}).items():
        yield (Part.task, function), digest[:8]
    for split, digest in run.record.get("rows", {}).items():
        yield (Part.task, f"rows of {split}"), digest[:8]

    for key, value in backbone(run).items():
        yield (Part.backbone, key), value

    training = run.experiment.data["training"]
    for key in TRAINING:
        yield (Part.training, key), training[key]
    yield (Part.training, "rows of a step"), run.experiment.training.rows_of_a_step
    yield (Part.seed, "seed"), training["seed"]


def backbone(run: Run) -> Mapping[str, Any]:
    """The numbers of a run's network: its family's size and what was changed of it."""
    experiment = run.experiment
    spec = load_yaml(run.family_folder / SPEC).data or {}
    return {**spec["sizes"][experiment.size], **experiment.model}

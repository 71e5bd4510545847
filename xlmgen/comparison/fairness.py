"""Fairness of a comparison: settings besides the family that differ between runs."""

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
"""Keys of a task that do not affect its examples."""
TRAINING = (
    *("max_steps", "optimizer", "learning_rate", "warmup_steps", "schedule"),
    *("min_lr_ratio", "cooldown", "weight_decay", "betas"),
    *("gradient_clip", "on_nan", "ema_decay"),
    *("precision", "batching", "patience", "patience_metric"),
    "stop_when",
)
"""Settings of `training` that change the trained weights. Settings whose product is the
rows of a step are compared by that product; all others affect only speed or output."""


class Part(StrEnum):
    """Part of an experiment that a setting belongs to."""

    task = "task"
    backbone = "backbone"
    training = "training"
    seed = "seed"


Settings = Mapping[tuple[Part, str], Any]
"""Values by part and name."""


@dataclass(frozen=True)
class Difference:
    """A setting that differs between runs.

    Args:
        part: of the experiment.
        key: name of the setting.
        values: one per run, in order.
    """

    part: Part
    key: str
    values: tuple[Any, ...]


def differences(of_runs: Sequence[Settings]) -> list[Difference]:
    """Settings that differ between runs, with seeds last.

    Args:
        of_runs: the settings of every run.
    """
    keys = dict.fromkeys(key for one in of_runs for key in one)
    found = [
        Difference(part, key, tuple(one.get((part, key)) for one in of_runs))
        for part, key in sorted(keys, key=lambda key: list(Part).index(key[0]))
    ]
    return [d for d in found if any(value != d.values[0] for value in d.values)]


def settings(run: Run) -> Settings:
    """Every setting of a run that affects a comparison.

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
    """Sizes of a run's network: those of the family, with the changes of the run."""
    experiment = run.experiment
    spec = load_yaml(run.family_folder / SPEC).data or {}
    return {**spec["sizes"][experiment.size], **experiment.model}

"""A resolved experiment as frozen dataclasses, without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Number = int | float
ROWS = ("batch_size", "accumulate", "devices", "num_nodes")
"""Keys of `training` whose product is the number of rows of an optimiser step."""


@dataclass(frozen=True)
class OptimizerSettings:
    """Which optimiser, and its own options.

    Args:
        momentum: of Muon; None for AdamW.
    """

    kind: Literal["adamw", "muon"]
    momentum: float | None = None


@dataclass(frozen=True)
class Training:
    """Training settings; the schema describes each key."""

    max_steps: int
    batch_size: int
    accumulate: int
    optimizer: OptimizerSettings
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float]
    warmup_steps: int
    schedule: Literal["constant", "cosine", "linear", "wsd", "inverse_sqrt"]
    min_lr_ratio: float
    cooldown: float
    gradient_clip: float | None
    on_nan: Literal["stop", "skip"]
    ema_decay: float | None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    seed: int
    log_every: int
    validate_every: int
    patience: int | None
    patience_metric: str
    stop_when: Mapping[str, float]
    checkpoint_every: int
    keep: int | None
    keep_every: int | None
    batching: str
    num_workers: int
    compile: bool
    activation_checkpointing: bool
    accelerator: str
    devices: int
    num_nodes: int
    strategy: Literal["auto", "ddp", "fsdp"]

    @property
    def rows_of_a_step(self) -> int:
        """Number of rows of an optimiser step, on all devices together."""
        return math.prod(getattr(self, key) for key in ROWS)


@dataclass(frozen=True)
class Evaluation:
    """Validation and evaluation settings."""

    batch_size: int
    generate: int
    bound_samples: int


@dataclass(frozen=True)
class Experiment:
    """Family, task, size and all settings of a run.

    Args:
        name: of the run and its folder.
        family, task: a name, or an absolute path.
        size: one of the family's sizes.
        model: numbers of the network that differ from the size's.
        predictor: numbers of the predictor that differ from the family's.
        file: its YAML file.
        data: the experiment as plain data, with all defaults filled in.
        origins: source of each value of `data` by dotted path: `default`, `file:line`
            or `command line`.
    """

    name: str
    family: str
    task: str
    size: str
    model: Mapping[str, Number]
    predictor: Mapping[str, Number | None]
    training: Training
    evaluation: Evaluation
    loggers: tuple[str, ...]
    file: Path = field(compare=False)
    data: Mapping[str, Any] = field(repr=False)
    origins: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def trackers(self) -> tuple[str, ...]:
        """Loggers that need packages of their own to be installed."""
        return tuple(name for name in self.loggers if name != "tensorboard")


def settle(
    data: Mapping[str, Any], origins: Mapping[str, str], file: Path
) -> Experiment:
    """Convert validated data with defaults filled in to dataclasses."""
    training = dict(data["training"])
    training["optimizer"] = OptimizerSettings(**training["optimizer"])
    training["betas"] = tuple(training["betas"])
    return Experiment(
        name=data["name"],
        family=data["family"],
        task=data["task"],
        size=data["size"],
        model={k: v for k, v in data["model"].items() if v is not None},
        predictor=dict(data["predictor"]),
        training=Training(**training),
        evaluation=Evaluation(**data["evaluation"]),
        loggers=tuple(data["loggers"]),
        file=file,
        data=data,
        origins=origins,
    )


def is_path(value: str) -> bool:
    """Whether a family or task is given by a path instead of a name."""
    return "/" in value or value.startswith(".") or value.endswith((".yaml", ".yml"))


def stem(value: str) -> str:
    """Return the name of a family or task that is given by name or path."""
    return Path(value).stem if is_path(value) else value

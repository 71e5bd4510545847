"""An experiment with every value settled: frozen dataclasses, no torch."""

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
class Training:
    """How the model is trained. What each key means is in the schema."""

    max_steps: int
    batch_size: int
    accumulate: int
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
        """How many rows an optimiser step sees, on all devices."""
        return math.prod(getattr(self, key) for key in ROWS)


@dataclass(frozen=True)
class Evaluation:
    """How the model is validated and evaluated."""

    batch_size: int
    generate: int
    bound_samples: int


@dataclass(frozen=True)
class Experiment:
    """Family, task, size and all settings of one run.

    Args:
        name: of the run and its folder.
        family, task: a name, or an absolute path.
        size: one of the family's sizes.
        model: numbers of the network that differ from the size's.
        predictor: numbers of the predictor that differ from the family's.
        file: the YAML file that it was read from.
        data: the whole experiment as plain data, every default filled in.
        origins: where each value of `data` came from, by dotted path: `default`, a
            `file:line`, or `command line`.
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
        """Loggers that are packages of their own, which have to be installed."""
        return tuple(name for name in self.loggers if name != "tensorboard")


def settle(
    data: Mapping[str, Any], origins: Mapping[str, str], file: Path
) -> Experiment:
    """The dataclasses of a checked experiment whose defaults are filled in."""
    training = dict(data["training"])
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
    """Whether a family or task is written as a path rather than a name."""
    return "/" in value or value.startswith(".") or value.endswith((".yaml", ".yml"))


def stem(value: str) -> str:
    """The bare name of a family or task, written as a name or a path."""
    return Path(value).stem if is_path(value) else value

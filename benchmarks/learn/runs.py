"""Run folders of the benchmark, finished or not, as their files say. No torch."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.learn.hardware import recorded
from benchmarks.learn.target import Target

PEERS = ("xlm-core", "gpt2")
METRICS, THROUGHPUT, EXPERIMENT = "metrics.csv", "throughput.csv", "experiment.yaml"
ROWS, NUMBERS = "rows.npz", "peer.json"
"""What a peer's run is trained on, and how."""
Row = dict[str, str]


@dataclass(frozen=True)
class Run:
    """One run folder, which need not exist yet.

    Args:
        path: `TASK/FAMILY-SEED`, of a peer `TASK/PEER-FAMILY-SEED`.
        family: of ours, or the one of ours that the peer's stands beside.
        seed: of the run.
        peer: whose model it is; empty for ours.
    """

    path: Path
    family: str
    seed: int
    peer: str = ""

    @classmethod
    def at(cls, folder: Path, family: str, seed: int, peer: str = "") -> "Run":
        """The run of a family and seed in the folder of a task."""
        name = "-".join([*([peer] if peer else []), family, str(seed)])
        return cls(folder / name, family, seed, peer)

    @classmethod
    def named(cls, path: Path) -> "Run | None":
        """The run in a folder by its name; None for other folders."""
        name, _, seed = path.name.rpartition("-")
        peer = next((p for p in PEERS if name.startswith(f"{p}-")), "")
        family = name.removeprefix(f"{peer}-")
        return cls(path, family, int(seed), peer) if seed.isdecimal() else None

    @property
    def label(self) -> str:
        """`mdlm`, or `mdlm, xlm-core`."""
        return f"{self.family}, {self.peer}" if self.peer else self.family

    @property
    def hardware(self) -> Path:
        """The record of the machines, beside the folder, which `xlmgen train` makes."""
        return self.path.with_name(f"{self.path.name}.hardware.json")

    @property
    def log(self) -> Path:
        """What the commands of the run print."""
        return self.path.with_name(f"{self.path.name}.log")

    @property
    def settings(self) -> Mapping[str, Any]:
        """`experiment.yaml`; empty where there is none yet."""
        path = self.path / EXPERIMENT
        return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}

    @property
    def metrics(self) -> list[Row]:
        return read_rows(self.path / METRICS)

    @property
    def step(self) -> int:
        """Optimiser steps so far."""
        rows = self.metrics
        return int(rows[-1]["step"]) if rows else 0

    @property
    def machines(self) -> list[Mapping[str, Any]]:
        return recorded(self.hardware)

    def validations(self) -> list[dict[str, float]]:
        """The metrics of every validation, with their step."""
        return [
            {name: float(value) for name, value in row.items()}
            for row in self.metrics
            if "val/loss" in row
        ]

    def steps_to(self, target: Target) -> int | None:
        """The first validation that reaches a target."""
        for row in self.validations():
            if target.metric in row and target.is_reached(row[target.metric]):
                return int(row["step"])
        return None

    def seconds_to(self, step: int) -> float | None:
        """Seconds of training up to a step, without validations and checkpoints.

        None where the speed of a part of them was not recorded.
        """
        seconds, before = 0.0, 0
        for row in read_rows(self.path / THROUGHPUT):
            if before >= step:
                break
            here, speed = int(row["step"]), float(row["speed/steps_per_s"])
            seconds += (min(here, step) - before) / speed
            before = here
        return seconds if before >= step else None

    @property
    def speed(self) -> float | None:
        """Optimiser steps per second at the last row."""
        rows = read_rows(self.path / THROUGHPUT)
        return float(rows[-1]["speed/steps_per_s"]) if rows else None

    def results(self, name: str = "test") -> Mapping[str, Any] | None:
        """What an evaluation found, once it has run."""
        path = self.path / "results" / f"{name}.json"
        if not path.is_file():
            return None
        found: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    @property
    def is_finished(self) -> bool:
        """Whether it has taken all steps, or ended by `training.stop_when`."""
        if not self.settings:
            return False
        training = self.settings["training"]
        return self.step >= training["max_steps"] or self._has_stopped(training)

    def _has_stopped(self, training: Mapping[str, Any]) -> bool:
        wanted = [Target(*item) for item in (training.get("stop_when") or {}).items()]
        last = self.validations()[-1:]
        return bool(wanted and last) and all(
            target.is_reached(last[0].get(target.metric, float("nan")))
            for target in wanted
        )


def find(folder: Path) -> list[Run]:
    """The runs of a task that have begun: families, then peers, by seed."""
    runs = [Run.named(path.parent) for path in folder.glob(f"*/{METRICS}")]
    begun = [run for run in runs if run is not None and run.metrics]
    return sorted(begun, key=lambda run: (run.peer, run.family, run.seed))


def read_rows(path: Path) -> list[Row]:
    """The rows of a CSV file without empty cells, but for a last line cut short."""
    return list(_rows(path)) if path.is_file() else []


def _rows(path: Path) -> Iterator[Row]:
    text = path.read_text("utf-8")
    for row in csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])):
        yield {name: value for name, value in row.items() if value}

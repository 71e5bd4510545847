"""Run folders, with the inputs and outputs of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlmgen.data.task import Task, load_task
from xlmgen.errors import UserError
from xlmgen.experiment.resolve import resolve
from xlmgen.experiment.settings import Experiment
from xlmgen.io.files import write_json
from xlmgen.io.json_input import Schema, read_object
from xlmgen.registry import SPEC, load_family, pin
from xlmgen.runs.checkpoint_folder import (
    BEST,
    EMA,
    IMPORTED,
    Weights,
    best_step,
    checkpoints,
    damage,
)
from xlmgen.spec.messages import CHECK_PATH, show, similar_path

if TYPE_CHECKING:
    from xlmgen.runtime.family import Family

EXPERIMENT, TASK, TOKENIZER = "experiment.yaml", "task.yaml", "tokenizer.json"
VERSIONS, METRICS = "versions.json", "metrics.csv"
THROUGHPUT = "throughput.csv"
RECORD: Schema = {
    "properties": {
        "id": {"type": "string"},
        "xlmgen": {"type": "string"},
        "torch": {"type": "string"},
        "code": {"type": "object"},
        "continued": {"type": "array"},
    }
}
"""Schema of the keys of `versions.json` that are read."""


def lock_of(path: Path) -> Path:
    """The lock file of a run folder, held by the process that trains it."""
    return path.absolute().with_name(f".lock-{path.name}")


@dataclass(frozen=True)
class Run:
    """An existing run folder.

    Args:
        path: the folder.
        experiment: from `experiment.yaml`.
    """

    path: Path
    experiment: Experiment

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open the run in a folder.

        Raises:
            UserError: the folder does not exist or is not a run folder.
        """
        folder = Path(path)
        if not folder.is_dir():
            if folder.is_file():
                raise UserError(
                    f"{folder} is a file, not a run folder",
                    "give the folder that `xlmgen train` wrote, such as runs/NAME",
                )
            guess = similar_path(folder, folder=True)
            fix = "start one with `xlmgen train`" if guess == CHECK_PATH else guess
            raise UserError(f"there is no run folder {folder}", fix)
        if not is_run(folder):
            raise UserError(
                f"{folder} is not a run folder: it has no {EXPERIMENT}",
                "give the folder that `xlmgen train` wrote, such as runs/NAME",
            )
        return cls(folder, resolve(folder / EXPERIMENT))

    @property
    def id(self) -> str | None:
        """Id of the run, which is recorded in its checkpoints."""
        return run_id(self.path)

    @property
    def record(self) -> dict[str, Any]:
        """Contents of `versions.json`; see `folder.versions`.

        Raises:
            UserError: the file cannot be read.
        """
        return _record(self.path)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def has_begun(self) -> bool:
        """Whether the run has a checkpoint or metrics."""
        return bool(checkpoints(self.checkpoints)) or (self.path / METRICS).exists()

    @property
    def family_folder(self) -> Path:
        """The run's own copy of its family."""
        found = sorted((self.path / "families").glob(f"*/{SPEC}"))
        if len(found) != 1:
            raise UserError(
                f"{self.path / 'families'} has {len(found)} families, not one",
                "a run folder has a copy of its family; restore it",
            )
        return found[0].parent

    def load_family(self) -> Family:
        """Import the run's copy of its family, here and in later child processes."""
        pin(self.path / "families")
        return load_family(self.family_folder.name)

    def load_task(self) -> Task:
        """The task with the tokenizer that the run was trained with."""
        return load_task(self.path / TASK, tokenizer=self.path / TOKENIZER)

    def checkpoint(self, which: str | None = None) -> tuple[int, Path]:
        """Step and folder of a checkpoint.

        Args:
            which: `best`, `last` or a step; by default the best, or the last where no
                validation has ended yet.

        Raises:
            UserError: the run has no such checkpoint.
        """
        found = checkpoints(self.checkpoints)
        if not found:
            raise UserError(
                f"the run {self.path} has no checkpoint yet",
                "continue it with the same `xlmgen train` command",
            )
        steps = {str(step): step for step in found}
        if which is None or which == "best":
            step = best_step(self.checkpoints)
            if which is None and step is None:
                step = max(found)
        elif which == "last":
            step = max(found)
        else:
            step = steps.get(which.lstrip("0") or "0")
        if step not in found:
            missing = f"step {step}, its best" if step is not None else show(which)
            best = "best, " * (step is None and (self.checkpoints / BEST).exists())
            raise UserError(
                f"the run {self.path} has no checkpoint {missing}",
                f"choose {best}last, or a step of {', '.join(steps)}",
            )
        return step, found[step]

    def weights(
        self, which: str | None = None, weights: Weights | None = None
    ) -> Stored:
        """The intact weights of a checkpoint.

        Args:
            which: see `checkpoint`.
            weights: raw or averaged; by default averaged where the run averages them.

        Raises:
            UserError: there is no such checkpoint, it has no average, or it is damaged.
        """
        step, folder = self.checkpoint(which)
        averaged = (folder / EMA).exists()
        if weights is Weights.ema and not averaged:
            raise UserError(
                f"step {step} of the run {self.path} has no averaged weights",
                "only runs with training.ema_decay have them; use --weights raw",
            )
        weights = weights or (Weights.ema if averaged else Weights.raw)
        if wrong := damage(folder, self.id, step, weights):
            others = reversed(checkpoints(self.checkpoints).items())
            intact = (s for s, f in others if not damage(f, self.id, s, weights))
            other = next(intact, None)
            raise UserError(
                f"the checkpoint {folder} is damaged: {wrong}",
                "no other checkpoint of the run is intact"
                if other is None
                else f"step {other} is intact: --checkpoint {other}",
            )
        return Stored(step, folder, weights, averaged)

    def resume_point(self) -> ResumePoint:
        """Where to continue the run: its last intact checkpoint, or the beginning.

        Raises:
            UserError: it has or had checkpoints, and none is intact.
        """
        passed: dict[int, str] = {}
        for step, folder in reversed(checkpoints(self.checkpoints).items()):
            wrong = damage(folder, self.id, step)
            if wrong is None:
                return ResumePoint(step, folder, passed)
            passed[step] = wrong
        fix = "restore one from a copy, or begin again with another --run-dir"
        if passed:
            damages = [f"step {step}: {wrong}" for step, wrong in passed.items()]
            raise UserError(
                f"no checkpoint of the run {self.path} is intact: {'; '.join(damages)}",
                fix,
            )
        for known in (self.checkpoints / BEST, self.path / IMPORTED):
            if known.exists():
                raise UserError(
                    f"{self.checkpoints} has no checkpoint, but {known} shows that "
                    "there was one",
                    fix,
                )
        return ResumePoint(0, None, passed)

    def write_results(self, name: str, results: Mapping[str, Any]) -> Path:
        """Write `results/NAME.json` atomically."""
        path = self.path / "results" / f"{name}.json"
        write_json(path, results)
        return path


@dataclass(frozen=True)
class Stored:
    """The weights of a checkpoint.

    Args:
        step, folder: of the checkpoint.
        weights: raw or averaged.
        averaged: whether the checkpoint has both.
    """

    step: int
    folder: Path
    weights: Weights
    averaged: bool

    def __str__(self) -> str:
        return f"step {self.step}" + f", {self.weights} weights" * self.averaged


@dataclass(frozen=True)
class ResumePoint:
    """Where to continue a run.

    Args:
        step: 0 for the beginning.
        folder: of the checkpoint, if there is one.
        passed: damage of later checkpoints, by step.
    """

    step: int
    folder: Path | None
    passed: Mapping[int, str]


def run_id(folder: Path) -> str | None:
    """The id of the run in a folder."""
    return _record(folder).get("id")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder."""
    return (folder / EXPERIMENT).is_file() and (folder / VERSIONS).is_file()


def _record(folder: Path) -> dict[str, Any]:
    fix = "it is the record of the run; restore it from a copy"
    return read_object(folder / VERSIONS, fix, RECORD)

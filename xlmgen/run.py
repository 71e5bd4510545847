"""Run folders: everything that a run was made from and everything it made."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlmgen import __version__, resources
from xlmgen.errors import UserError
from xlmgen.experiment.resolve import leaves, resolve
from xlmgen.experiment.settings import Experiment
from xlmgen.experiment.show import to_yaml
from xlmgen.files import write_json, write_text
from xlmgen.registry import SPEC, load_family, pin
from xlmgen.render.changes import read, read_lock
from xlmgen.render.lock import Lock
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import CHECK_PATH, show, similar_path
from xlmgen.spec.project import own_files, project_of
from xlmgen.tasks import Task, load_task
from xlmgen.training.checkpoint_folder import (
    EMA,
    Weights,
    best_step,
    checkpoints,
    damage,
)

if TYPE_CHECKING:
    from xlmgen.family import Family

EXPERIMENT, TASK, TOKENIZER = "experiment.yaml", "task.yaml", "tokenizer.json"
VERSIONS = "versions.json"
ROWS = ("batch_size", "accumulate", "devices", "num_nodes")
"""Keys of `training` whose product is the number of rows of an optimiser step."""
MAY_CHANGE = {"name", "loggers"} | {
    f"training.{key}"
    for key in (
        "max_steps",
        "on_nan",
        "log_every",
        "validate_every",
        "patience",
        "checkpoint_every",
        "keep",
        "keep_every",
        "num_workers",
        "activation_checkpointing",
        "accelerator",
        "strategy",
        *ROWS,
    )
}
"""What a run may be continued with another value of, if a step keeps its rows."""


@dataclass(frozen=True)
class Run:
    """A run folder that exists.

    Args:
        path: the folder.
        experiment: what was run, as `experiment.yaml` says.
    """

    path: Path
    experiment: Experiment

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run in a folder.

        Raises:
            UserError: there is none.
        """
        folder = Path(path)
        if not folder.is_dir():
            guess = similar_path(folder)
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
        """What its checkpoints are known by."""
        return run_id(self.path)

    @property
    def record(self) -> dict[str, Any]:
        """What it was made with; see `versions`.

        Raises:
            UserError: the file cannot be read.
        """
        return _record(self.path)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to continue or to look at."""
        metrics = self.path / "metrics.csv"
        return bool(checkpoints(self.checkpoints)) or metrics.exists()

    @property
    def family_folder(self) -> Path:
        """The run's own copy of its family."""
        found = sorted((self.path / "families").glob(f"*/{SPEC}"))
        if len(found) != 1:
            raise UserError(
                f"{self.path / 'families'} holds {len(found)} families, not one",
                "a run folder holds the family as it was run; restore it",
            )
        return found[0].parent

    def load_family(self) -> Family:
        """Import the family's code as it was run, here and in processes to come."""
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
        last, best = max(found), best_step(self.checkpoints)
        named = {"last": last, "best": best, None: last if best is None else best}
        if which is not None and which.isdecimal():
            step: int | None = int(which)
        else:
            step = named.get(which)
        if step not in found:
            steps = ", ".join(map(str, found))
            raise UserError(
                f"the run {self.path} has no checkpoint '{which}'",
                f"choose {'' if best is None else 'best, '}last, or a step of {steps}",
            )
        return step, found[step]

    def weights(
        self, which: str | None = None, weights: Weights | None = None
    ) -> Stored:
        """The weights of a checkpoint, which are as they were written.

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
                "only a run with training.ema_decay has; take --weights raw",
            )
        weights = weights or (Weights.ema if averaged else Weights.raw)
        if wrong := damage(folder, self.id, step, weights):
            others = reversed(checkpoints(self.checkpoints).items())
            whole = (s for s, f in others if not damage(f, self.id, s, weights))
            other = next(whole, None)
            raise UserError(
                f"the checkpoint {folder} is damaged: {wrong}",
                "no other one of the run is whole"
                if other is None
                else f"step {other} is whole: --checkpoint {other}",
            )
        return Stored(step, folder, weights, averaged)

    def resume_point(self) -> ResumePoint:
        """Where the run goes on: its last whole checkpoint, or the beginning.

        Raises:
            UserError: it has checkpoints, or had, and none is whole.
        """
        passed: dict[int, str] = {}
        for step, folder in reversed(checkpoints(self.checkpoints).items()):
            wrong = damage(folder, self.id, step)
            if wrong is None:
                return ResumePoint(step, folder, passed)
            passed[step] = wrong
        best = best_step(self.checkpoints)
        if passed or best is not None:
            said = [f"step {step}: {wrong}" for step, wrong in passed.items()]
            raise UserError(
                f"no checkpoint of the run {self.path} is whole: "
                + ("; ".join(said) or f"they are gone, step {best} among them"),
                "restore one from a copy, or begin anew with another --run-dir",
            )
        return ResumePoint(0, None, passed)

    def write_results(self, name: str, results: Mapping[str, Any]) -> Path:
        """Write `results/NAME.json`, whole or not at all."""
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
    """Where a run goes on.

    Args:
        step: 0 for the beginning.
        folder: of the checkpoint, if there is one.
        passed: what is wrong with later checkpoints, by step.
    """

    step: int
    folder: Path | None
    passed: Mapping[int, str]


def create(
    path: Path,
    experiment: Experiment,
    family: Path,
    task: Task,
    command: Sequence[str],
    fill: Callable[[Path], None] = lambda folder: None,
) -> Run:
    """Make a run folder, whole or not at all.

    Args:
        path: where; must not exist, or be an empty folder.
        family: the folder of the family; its spec and code are copied.
        command: the command line that started the run.
        fill: adds files to the folder before it is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.mkdir()
    try:
        copy_family(family, draft / "families" / family.name)
        copy_own_kinds(family / SPEC, draft)
        task.save(draft)
        write_text(draft / EXPERIMENT, to_yaml(experiment))
        record = {"id": secrets.token_hex(8), **versions(experiment, command)}
        if task.code:
            record["code"] = task.code
        write_json(draft / VERSIONS, record)
        for folder in ("checkpoints", "predictions", "results"):
            (draft / folder).mkdir()
        fill(draft)
        draft.rename(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Run(path, experiment)


def is_new(path: Path) -> bool:
    """Whether a run can be created in a folder; False where there is one already.

    Raises:
        UserError: there is something else.
    """
    if not path.exists():
        return True
    if path.is_dir() and not any(path.iterdir()):
        return True
    if not path.is_dir() or not is_run(path):
        raise UserError(
            f"{path} exists and is not a run folder",
            "nothing was written; choose another folder with --run-dir",
        )
    return False


def reopen(path: Path, experiment: Experiment, command: Sequence[str]) -> Run:
    """The run in a folder, to be continued with the same experiment.

    Raises:
        UserError: the experiment differs in more than how long, how often and where.
    """
    there = Run.open(path).experiment
    old, new = dict(leaves(there.data)), dict(leaves(experiment.data))
    differing = [
        f"{name} is {show(new.get(keys))} here and {show(old.get(keys))} there"
        for keys in {**old, **new}
        if old.get(keys) != new.get(keys) and (name := ".".join(keys)) not in MAY_CHANGE
    ]
    if differing:
        raise UserError(
            f"{path} holds a run of another experiment: {'; '.join(differing)}",
            "choose another folder with --run-dir, or give it the same settings",
        )
    if rows_of_a_step(experiment) != rows_of_a_step(there):
        product = " × ".join(f"training.{key}" for key in ROWS)
        raise UserError(
            f"{path} holds a run with {rows_of_a_step(there)} rows in a step, not "
            f"{rows_of_a_step(experiment)}",
            f"keep the product of {product}, or choose another folder with --run-dir",
        )
    for leftover in (path / "checkpoints").glob(".step=*"):
        shutil.rmtree(leftover)
    write_text(path / EXPERIMENT, to_yaml(experiment))
    record = _record(path)
    continued = [*record.get("continued", []), versions(experiment, command)]
    write_json(path / VERSIONS, {**record, "continued": continued})
    return Run(path, experiment)


def rows_of_a_step(experiment: Experiment) -> int:
    """How many rows an optimiser step sees, on all devices."""
    return math.prod(getattr(experiment.training, key) for key in ROWS)


def copy_family(source: Path, target: Path) -> None:
    """Copy a family's spec and code: what a run needs and a reader wants."""
    if not (source / "__init__.py").is_file():
        raise UserError(
            f"the family in {source} is not rendered",
            f"run `xlmgen new {source / SPEC} --out {source.parent}`",
        )
    target.mkdir(parents=True)
    for pattern in ("*.py", "*.yaml", "*.lock", "README.md"):
        for file in sorted(source.glob(pattern)):
            shutil.copyfile(file, target / file.name)


def copy_own_kinds(spec: Path, target: Path) -> None:
    """Copy the kinds of a family's project, where the family has any of them.

    The run is then a project itself, and can be moved anywhere.
    """
    project = project_of(spec)
    blocks = load_yaml(spec).data or {}
    names = ((b, o.get("kind")) for b, o in blocks.items() if isinstance(o, dict))
    if project.root is None or not project.used(names):
        return
    for file in own_files(project.root):
        if (resources.root() / file.relative_to(project.root)).is_file():
            continue  # a copy of ours
        copy = target / file.relative_to(project.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def same_family(one: Path, other: Path) -> bool:
    """Whether two family folders hold the same code."""

    def code(folder: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in folder.glob("*.py")}

    return code(one) == code(other)


def same_task(source: str, copy: Path) -> bool:
    """Whether a task says what a run's copy of it does; true of one that is gone."""
    try:
        task = load_task(source)
    except UserError:
        return True
    return task.settings == load_task(copy).settings


def changed_code(run: Run) -> str:
    """A note where functions of the user's own are not as when the run began."""
    known = run.record.get("code", {})
    code = run.load_task().code
    changed = [target for target in code if code[target] != known.get(target)]
    if not changed:
        return ""
    return (
        f"note: the code of {', '.join(changed)} has changed since the run "
        f"{run.path} began: examples and scores are by the code as it is now"
    )


def is_behind_its_spec(family: Path) -> bool:
    """Whether a family's YAML was changed since its code was rendered from it."""
    lock = read_lock(family)
    return isinstance(lock, Lock) and lock.pristine.get(SPEC) != read(family / SPEC)


def versions(experiment: Experiment, command: Sequence[str]) -> dict[str, Any]:
    """What a run was made with, for whoever wants to repeat it."""
    import platform

    packages = ("torch", "lightning", "torchmetrics", "numpy", "tokenizers")
    return {
        "xlmgen": __version__,
        **{name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "commit": _commit(),
        "seed": experiment.training.seed,
        "command": list(command),
    }


def run_id(folder: Path) -> str | None:
    """The id of the run in a folder."""
    return _record(folder).get("id")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder."""
    return (folder / EXPERIMENT).is_file() and (folder / VERSIONS).is_file()


def _record(folder: Path) -> dict[str, Any]:
    path = folder / VERSIONS
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict):
        raise UserError(
            f"{path} cannot be read", "it is a run's own record; restore it from a copy"
        )
    return record


def _commit() -> str | None:
    """The git commit of the current folder, or None outside a repository."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None

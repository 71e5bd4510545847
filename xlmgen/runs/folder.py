"""Creation of run folders, and reopening of one to continue it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from xlmgen import resources
from xlmgen.data.task import Task
from xlmgen.errors import UserError
from xlmgen.experiment.overrides import KeyPath
from xlmgen.experiment.resolve import leaves
from xlmgen.experiment.settings import ROWS, Experiment
from xlmgen.experiment.show import to_yaml
from xlmgen.io.files import visible, write_json, write_text
from xlmgen.registry import SPEC
from xlmgen.runs.hardware import hardware
from xlmgen.runs.run import EXPERIMENT, VERSIONS, Run, is_run
from xlmgen.spec.document import dotted
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import show
from xlmgen.spec.project import own_files, project_of
from xlmgen.version import __version__

MAY_CHANGE = {"name", "loggers"} | {
    f"training.{key}"
    for key in (
        "max_steps",
        "on_nan",
        "log_every",
        "validate_every",
        "patience",
        "stop_when",
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
"""Settings that may change when a run is continued, if a step keeps its rows."""


def create(
    path: Path,
    experiment: Experiment,
    family: Path,
    task: Task,
    command: Sequence[str],
    fill: Callable[[Path], None] = lambda folder: None,
) -> Run:
    """Create a run folder atomically.

    Args:
        path: must not exist, or be an empty folder.
        experiment: resolved.
        family: folder of the family, whose spec and code are copied.
        task: of the experiment; saved into the folder.
        command: the command line that started the run.
        fill: adds files to the folder before it is renamed into place.
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
    """Whether a run can be created in a folder; False if it already has one.

    Raises:
        UserError: there is something else at the path.
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
    """Open the run in a folder, to continue it with the same experiment.

    Raises:
        UserError: the experiment differs in a setting outside `MAY_CHANGE`.
    """
    run = Run.open(path)
    check_same(run, experiment)
    for leftover in (path / "checkpoints").glob(".step=*"):
        shutil.rmtree(leftover)
    write_text(path / EXPERIMENT, to_yaml(experiment))
    continued = [*run.record.get("continued", []), versions(experiment, command)]
    write_json(path / VERSIONS, {**run.record, "continued": continued})
    return Run(path, experiment)


def check_same(run: Run, experiment: Experiment) -> None:
    """Check that a run can be continued with an experiment.

    Raises:
        UserError: the experiment differs in a setting outside `MAY_CHANGE`.
    """
    path, known = run.path, run.experiment
    old, new = dict(leaves(known.data)), dict(leaves(experiment.data))
    differing = [
        f"{dotted(keys)} is {show(new.get(keys))} here and {show(old.get(keys))} there"
        for keys in {**old, **new}
        if old.get(keys) != new.get(keys) and not may_change(keys)
    ]
    if differing:
        raise UserError(
            f"{path} holds a run of another experiment: {'; '.join(differing)}",
            "choose another folder with --run-dir, or give it the same settings",
        )
    rows, before = experiment.training.rows_of_a_step, known.training.rows_of_a_step
    if rows != before:
        product = " × ".join(f"training.{key}" for key in ROWS)
        raise UserError(
            f"{path} holds a run with {before} rows in a step, not {rows}",
            f"keep the product of {product}, or choose another folder with --run-dir",
        )


def may_change(keys: KeyPath) -> bool:
    """Whether a continued run may have another value of this key."""
    return any(".".join(keys[:n]) in MAY_CHANGE for n in range(1, len(keys) + 1))


def record_rows(run: Run, digests: Mapping[str, str]) -> None:
    """Record the digests of the rows that a training reads.

    The first digests are recorded for the run; different ones of a continued run, for
    that continuation.

    Args:
        run: the run, before training.
        digests: of the rows of every split.
    """
    record = run.record
    if record.setdefault("rows", dict(digests)) != digests:
        record.setdefault("continued", [{}])[-1]["rows"] = dict(digests)
    write_json(run.path / VERSIONS, record)


def copy_family(source: Path, target: Path) -> None:
    """Copy a family's spec, code, lock and README.

    Raises:
        UserError: the family is not rendered.
    """
    if not (source / "__init__.py").is_file():
        raise UserError(
            f"the family in {source} is not rendered",
            f"run `xlmgen new {source / SPEC} --out {source.parent}`",
        )
    target.mkdir(parents=True)
    for pattern in ("*.py", "*.yaml", "*.lock", "README.md"):
        for file in visible(source, pattern):
            shutil.copyfile(file, target / file.name)


def copy_own_kinds(spec: Path, target: Path) -> None:
    """Copy the project's own kinds, if the family uses any.

    The run folder is then a project of its own and can be moved.
    """
    project = project_of(spec)
    components = load_yaml(spec).data or {}
    names = ((b, o.get("kind")) for b, o in components.items() if isinstance(o, dict))
    if project.root is None or not project.used(names):
        return
    for file in own_files(project.root):
        if (resources.root() / file.relative_to(project.root)).is_file():
            continue  # a built-in file
        copy = target / file.relative_to(project.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def versions(experiment: Experiment, command: Sequence[str]) -> dict[str, Any]:
    """Versions, hardware, seed and command of a run, for reproducing it."""
    import platform

    packages = ("torch", "lightning", "torchmetrics", "numpy", "tokenizers")
    return {
        "xlmgen": __version__,
        **{name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": hardware(),
        "commit": _commit(),
        "seed": experiment.training.seed,
        "command": list(command),
    }


def _commit() -> str | None:
    """Git commit of the current folder; None outside a repository."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None

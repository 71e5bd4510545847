"""Provenance of a run: the code and data it was made from, and their changes."""

from __future__ import annotations

from pathlib import Path

from xlmgen.data.task import Task, load_task
from xlmgen.errors import UserError
from xlmgen.io.files import visible
from xlmgen.registry import SPEC
from xlmgen.render.changes import read, read_lock
from xlmgen.render.lock import Lock
from xlmgen.runs.run import Run


def same_family(one: Path, other: Path) -> bool:
    """Whether two family folders have the same code."""
    return family_code(one) == family_code(other)


def family_code(folder: Path) -> dict[str, bytes]:
    """Contents of the modules of a family folder, by file name."""
    return {file.name: file.read_bytes() for file in visible(folder, "*.py")}


def same_task(source: str, copy: Path) -> bool:
    """Whether a task equals a run's copy of it; True if the task is gone."""
    try:
        task = load_task(source)
    except UserError:
        return True
    return task.settings == load_task(copy).settings


def changed_code(run: Run) -> str:
    """A note if the user's own functions changed since the run began; else empty."""
    known = run.record.get("code", {})
    code = run.load_task().code
    changed = [target for target in code if code[target] != known.get(target)]
    if not changed:
        return ""
    return (
        f"note: the code of {', '.join(changed)} has changed since the run "
        f"{run.path} began: examples and scores use the current code"
    )


def changed_rows(run: Run, task: Task) -> str:
    """A note if the rows of the task changed since the run was trained; else empty."""
    known, found = run.record.get("rows", {}), task.prepared.digests
    changed = [
        split for split in found if known.get(split, found[split]) != found[split]
    ]
    if not changed:
        return ""
    return (
        f"note: the rows of {', '.join(changed)} have changed since the run {run.path} "
        "began: training and scores use the current rows"
    )


def is_behind_its_spec(family: Path) -> bool:
    """Whether a family's YAML has changed since its code was rendered."""
    lock = read_lock(family)
    return isinstance(lock, Lock) and lock.pristine.get(SPEC) != read(family / SPEC)

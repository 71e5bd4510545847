"""Report differences between a family's spec and the render in its folder."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xlmgen.io.merge import marked_lines
from xlmgen.render.changes import Change, State, changes, read_lock
from xlmgen.render.lock import LockError
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.render.transaction import interrupted
from xlmgen.spec.diagnostics import Diagnostic

# Folders of a family for a user's own files.
FREE = frozenset({"experiments", "docs", "__pycache__"})


@dataclass(frozen=True)
class Drift:
    """Problems of a folder and the diffs that show them."""

    problems: list[Diagnostic]
    diffs: list[str]


def drift(folder: Path, rendered: Mapping[str, str]) -> Drift:
    """Compare a folder with its render, without changing it.

    Args:
        rendered: all files; the lock may be omitted, because the folder's lock is
            checked by its content.
    """
    rendered = {path: text for path, text in rendered.items() if path != LOCK}
    lock = read_lock(folder)
    command = f"run `xlmgen new {folder / SPEC}`"
    if interrupted(folder):
        message = "writing this family was interrupted"
        fix = f"{command}, which first undoes it"
        return Drift([_problem(str(folder / SPEC), "XG307", message, fix)], [])
    if isinstance(lock, LockError):
        path = str(folder / LOCK)
        fix = f"restore it, or delete it and {command}"
        return Drift([_problem(path, "XG305", str(lock), fix)], [])
    found = changes(folder, rendered)
    if lock is None and all(c.state is State.NEW for c in found if c.path != SPEC):
        message = "this family is not rendered"
        command = f"run `xlmgen new {folder / SPEC} --out {folder.parent}`"
        return Drift([_problem(str(folder / SPEC), "XG303", message, command)], [])
    restore = command
    if any(change.state is State.EDITED for change in found):
        command = f"run `xlmgen update {folder}`"
        restore = f"run `xlmgen update {folder} --restore`"
    problems: list[Diagnostic] = []
    diffs: list[str] = []
    for change in found:
        problems += _judge(folder, change, command, restore)
        diffs += _diff(folder, change)
    if lock is None:
        problems.append(_missing(str(folder / LOCK), restore))
    elif _is_stale(found):
        problems.append(_old(str(folder / LOCK), command))
    problems += [
        _problem(str(folder / path), "XG304", "not rendered from the spec", "")
        for path in _extra(folder, rendered)
        if path not in {change.path for change in found}
    ]
    return Drift(problems, diffs)


def _judge(
    folder: Path, change: Change, command: str, restore: str
) -> Iterator[Diagnostic]:
    path, line = str(folder / change.path), _first_difference(change)
    marked = marked_lines(change.old or "") if change.state.blocks else []
    if change.state is State.NEW:
        yield _missing(path, restore)
    elif change.state is State.STALE:
        yield _old(path, command, line)
    elif change.state is State.ORPHAN:
        yield _problem(path, "XG301", "no longer rendered from the spec", command)
    elif change.state is State.LEFT:
        yield abandoned(folder, change)
    elif marked:
        yield from conflicts(folder, change.path, marked)
    elif change.state.blocks:
        yield _problem(path, "XG302", "edited since it was rendered", "", line)
        if change.moved_on:
            message = "the spec or its template has changed since the edit"
            yield _problem(path, "XG301", message, f"{command}, which merges", line)


def abandoned(folder: Path, change: Change) -> Diagnostic:
    """Make the diagnostic of an edited file that is no longer rendered."""
    message = "edited, and no longer rendered from the spec"
    fix = "move the edit to another file and delete this one"
    return _problem(str(folder / change.path), "XG304", message, fix)


def conflicts(folder: Path, path: str, lines: Iterable[int]) -> Iterator[Diagnostic]:
    """Make the diagnostics of a file with conflict markers at these lines."""
    message = "an edit and the render change the same lines"
    fix = "keep the right version and delete the markers"
    for line in lines:
        yield _problem(str(folder / path), "XG306", message, fix, line)


def _is_stale(found: list[Change]) -> bool:
    """Whether the lock is of another render and no stale file reports it."""
    if any(change.state is State.STALE for change in found):
        return False
    return any(change.moved_on or change.pristine is None for change in found)


def _diff(folder: Path, change: Change) -> list[str]:
    """Make a unified diff: a user's edit, or else the effect of rendering again."""
    if change.state in (State.NEW, State.UNCHANGED):
        return []
    name = (folder / change.path).as_posix()
    if change.state.blocks:
        before, after = change.pristine or change.new, change.old
        names = (f"{name} (rendered)", f"{name} (edited)")
    else:
        before, after = change.old, change.new
        names = (f"{name} (on disk)", f"{name} (rendered again)")
    return [unified(before or "", after or "", *names)]


def unified(before: str, after: str, before_name: str, after_name: str) -> str:
    """Make a unified diff of two texts."""
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), before_name, after_name, lineterm=""
    )
    return "\n".join(lines)


def _first_difference(change: Change) -> int:
    old, new = (change.old or "").split("\n"), (change.new or "").split("\n")
    pairs = zip(old, new, strict=False)
    same = next(
        (n for n, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new))
    )
    return min(same, len(old) - 1) + 1


def _extra(folder: Path, rendered: Mapping[str, str]) -> Iterator[str]:
    """Find Python files in the folder that are not rendered."""
    for path in sorted(folder.rglob("*.py")):
        inside = path.relative_to(folder)
        if not FREE & set(inside.parts[:-1]) and inside.as_posix() not in rendered:
            yield inside.as_posix()


def _missing(path: str, restore: str) -> Diagnostic:
    return _problem(path, "XG303", "the rendered file is missing", restore)


def _old(path: str, command: str, line: int = 1) -> Diagnostic:
    message = "older than the spec or its template"
    return _problem(path, "XG301", message, command, line)


def _problem(path: str, code: str, message: str, fix: str, line: int = 1) -> Diagnostic:
    return Diagnostic(path, line, 1, 2, code, "", message, fix)

"""Every spec of the working tree against its version in a commit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.render.drift import unified
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.review import classes
from xlmgen.review.classes import Class, Cost, Measure, Reason
from xlmgen.review.git import read_commit
from xlmgen.review.hooks import Hook, hooks
from xlmgen.review.semantic import ABSENT, Change, changes
from xlmgen.review.side import After, Before, Side, Spec, is_under, write_kinds
from xlmgen.review.surface import differing, same_code
from xlmgen.review.weights import Weights
from xlmgen.spec.diagnostics import Diagnostic, errors
from xlmgen.spec.document import dotted
from xlmgen.spec.schemas import built_in
from xlmgen.spec.validate import validate

WORDS = ("name", "title", "summary")  # of tasks and experiments: no run depends on them


@dataclass(frozen=True)
class Item:
    """One spec that is not as it was.

    Args:
        path: from the top of the repository, with forward slashes.
        kind: `family`, `task` or `experiment`.
        event: `added`, `removed`, `renamed from …` or `changed`.
        line: where the spec is first changed; 1 where no line of it is.
        changes: what the spec says differently, every default filled in.
        reasons: what breaks; none where nothing does.
        costs: of every size of a family, before and after; None where it was or is not
            there, or cannot be told.
        notes: what to know of how these were found.
        diff: of the rendered files.
        problems: of the spec as it is now; it is not compared further.
    """

    path: str
    kind: str
    name: str
    event: str = "changed"
    line: int = 1
    changes: Sequence[Change] = ()
    reasons: Sequence[Reason] = ()
    costs: Mapping[str, tuple[Cost | None, Cost | None]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    diff: str = ""
    problems: Sequence[Diagnostic] = ()

    @property
    def classes(self) -> list[Class]:
        """The classes of its change, the worst first; none is a change of words."""
        found = {reason.of for reason in self.reasons}
        return [of for of in Class if of in found]


@dataclass(frozen=True)
class Review:
    """Everything that differs, and all places where YAML reaches code."""

    against: str
    measure: Measure
    items: Sequence[Item]
    hooks: Sequence[Hook]
    unchanged: int

    def exit_code(self, fail_on: Iterable[str]) -> int:
        """1 where a spec has problems, or a change is of a class that is named."""
        found = {of for item in self.items for of in item.classes}
        broken = any(item.problems for item in self.items)
        return 1 if broken or found & set(fail_on) else 0


def review(against: str, paths: Iterable[Path], measure: Measure) -> Review:
    """Compare specs and renders in the working tree with those of a commit.

    Args:
        against: a branch, tag or commit.
        paths: files and folders in one repository.
        measure: what parameters and operations are counted for.

    Raises:
        UserError: there is no such repository, commit or path.
    """
    commit = read_commit(against, Path())
    places = tuple(_place(path, commit.root) for path in paths)
    with tempfile.TemporaryDirectory() as scratch:
        write_kinds(commit, Path(scratch).resolve())
        before = Before(commit, places, Path(scratch).resolve())
        after = After(commit.root, places, built_in())
        for place in places:
            known = (*commit.files, *after.specs)
            if not (commit.root / place).exists() and not any(
                is_under(path, place) for path in known
            ):
                raise UserError(f"there is no file or folder {place}", "check the path")
        return _compare(before, after, measure)


def _compare(before: Before, after: After, measure: Measure) -> Review:
    pairs = list(_pairs(before.specs, after.specs))
    found = [_item(before, after, old, new, measure) for old, new in pairs]
    items = [item for item in found if item is not None]
    unchanged = len(pairs) - len(items)
    return Review(
        before.commit.ref,
        measure,
        items,
        list(hooks(before.specs, after.specs)),
        unchanged,
    )


def _pairs(
    before: Mapping[str, Spec], after: Mapping[str, Spec]
) -> Iterator[tuple[Spec | None, Spec | None]]:
    """Specs of both sides that are one another, by path; else a family renamed."""
    gone = [spec for path, spec in before.items() if path not in after]
    for path, new in after.items():
        old = before.get(path) or next((s for s in gone if _renamed(s, new)), None)
        if old in gone:
            gone.remove(old)
        yield old, new
    for old in gone:
        yield old, None


def _renamed(old: Spec, new: Spec) -> bool:
    """Whether a spec that is gone is one that has come, but for its name or place."""
    if old.kind != "family" or new.kind != "family":
        return False
    unnamed = ({**spec.data, "name": ""} for spec in (old, new))
    return old.name == new.name or next(unnamed) == next(unnamed)


def _item(
    before: Before, after: After, old: Spec | None, new: Spec | None, measure: Measure
) -> Item | None:
    """What differs between two versions of a spec; None where nothing does."""
    some = new or old
    assert some is not None
    if new is not None and new.problems:
        if old is not None and old.document.text == new.document.text and old.problems:
            return None  # as bad as it was
        return Item(
            new.path, new.kind, new.name, _event(old, new), problems=new.problems
        )
    if some.kind == "family":
        return _family(before, after, old, new, measure)
    return _settings(before, after, old, new)


def _event(old: Spec | None, new: Spec | None) -> str:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    named = not old.problems and not new.problems  # else a name may be unreadable
    if named and old.name != new.name and new.kind == "family":
        return f"renamed from {old.name}"
    return "changed" if old.path == new.path else f"moved from {old.path}"


def _family(
    before: Before, after: After, old: Spec | None, new: Spec | None, measure: Measure
) -> Item | None:
    some = new or old
    assert some is not None
    old_files = before.render(old) if old else {}
    new_files = after.render(new) if new else {}
    notes = []
    if old_files is None or new_files is None:
        when = f"at {before.commit.ref}" if old_files is None else "now"
        notes.append(f"its files {when} cannot be rendered by this xlmgen")
    old_files, new_files = old_files or {}, new_files or {}
    changed = _changes(old, new) if old and new else []
    diff = _diff(some, old_files, new_files)
    event = _event(old, new)
    same_text = old and new and old.document.text == new.document.text
    same = event == "changed" and same_text and not changed and not diff
    if same and not before.has_other_layers:
        return None
    old_weights = classes.weights_of(before, old, old_files, measure) if old else {}
    new_weights = classes.weights_of(after, new, new_files, measure) if new else {}
    reasons: list[Reason] = []
    if old is not None:
        renamed = new is not None and new.name != old.name
        same_model = not renamed and _same_model(old, old_files, new_files)
        if new is not None:
            reasons += classes.checkpoint(
                old_weights, new_weights, same_model=same_model
            )
        reasons += classes.config(before, after, old, new)
        if renamed or new is None:
            reasons.append(Reason(Class.source, f"the package {old.name} is gone"))
        elif old_files and new_files:
            reasons += classes.source(old_files, new_files)
            reasons += classes.behaviour(old_files, new_files)
    if same and not reasons:
        return None
    costs = {
        size: (
            _cost(old, old_weights, size, measure),
            _cost(new, new_weights, size, measure),
        )
        for size in dict.fromkeys((*old_weights, *new_weights))
    }
    notes += _untold(new_weights)
    return Item(
        some.path,
        "family",
        some.name,
        event,
        _line(new, changed),
        changed,
        reasons,
        costs,
        notes,
        diff,
    )


def _changes(old: Spec, new: Spec) -> list[Change]:
    """What two specs say differently.

    A key that only one side's schemas have counts where that side's file writes it.
    """
    written = {*old.document.values, *new.document.values}
    return [
        change
        for change in changes(old.data, new.data)
        if ABSENT not in (change.old, change.new) or change.path in written
    ]


def _same_model(
    family: Spec, old_files: Mapping[str, str], new_files: Mapping[str, str]
) -> bool:
    """Whether the model's code is the same, and there."""
    path = f"model_{family.name}.py"
    old, new = old_files.get(path), new_files.get(path)
    return old is not None and new is not None and same_code(old, new)


def _cost(
    family: Spec | None, found: Mapping[str, Any], size: str, measure: Measure
) -> Cost | None:
    weights = found.get(size)
    if family is None or not isinstance(weights, Weights):
        return None
    return classes.cost(weights, classes.sizes(family)[size], measure)


def _untold(found: Mapping[str, Any]) -> list[str]:
    reasons = {str(w) for w in found.values() if not isinstance(w, Weights)}
    return [f"its weights cannot be told: {reason}" for reason in sorted(reasons)]


def _diff(family: Spec, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """The unified diff of the rendered files but the lock, which follows from them."""
    if not old or not new:
        return ""
    rendered = set(new) | {path for path in old if path.endswith(".py")}
    parts = []
    for path, before, after in differing(old, new):
        if path in (LOCK, SPEC) or path not in rendered:
            continue
        name = f"{family.folder}/{path}".removeprefix("/")
        names = (
            "/dev/null" if before is None else f"a/{name}",
            "/dev/null" if after is None else f"b/{name}",
        )
        parts.append(unified(before or "", after or "", *names))
    return "\n".join(parts)


def _settings(
    before: Side, after: Side, old: Spec | None, new: Spec | None
) -> Item | None:
    """A task or an experiment."""
    some = new or old
    assert some is not None
    event = _event(old, new)
    reasons: list[Reason] = []
    changed: list[Change] = []
    if old is not None and some.kind == "task":
        reasons += classes.config_of_task(before, after, old, new)
    if old is not None and new is not None:
        changed = _changes(old, new)
        known = [] if old.problems else validate(old.document, old.kind, after.schemas)
        for problem in errors(known):
            text = f"as it was it is no longer valid: {problem.text}"
            reasons.append(Reason(Class.config, text))
        reasons += [
            _setting(some.kind, change)
            for change in changed
            if change.path[0] not in WORDS
        ]
    same = old and new and old.document.text == new.document.text
    if event == "changed" and not changed and not reasons and same:
        return None
    line = _line(new, changed)
    return Item(some.path, some.kind, some.name, event, line, changed, reasons)


def _setting(kind: str, change: Change) -> Reason:
    """A change of a tokenizer changes what the rows of an embedding stand for."""
    key = dotted(change.path)
    if kind == "task" and change.path[0] == "tokenizer":
        return Reason(Class.checkpoint, f"{key}: ids have another meaning or number")
    return Reason(Class.behaviour, f"{key} has another value")


def _line(spec: Spec | None, changed: Sequence[Change]) -> int:
    if spec is None or not changed:
        return 1
    return min(spec.document.span(change.path, key=True).line for change in changed)


def _place(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        fix = f"name files and folders of {root}"
        raise UserError(f"{path} is not in the repository {root}", fix) from None

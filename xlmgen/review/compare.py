"""Compare every spec of the working tree with its version in a commit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.review import classes
from xlmgen.review.classes import Class, Reason
from xlmgen.review.families import FamilyPair, family_items
from xlmgen.review.git import read_commit
from xlmgen.review.hooks import Hook, hooks
from xlmgen.review.item import Item, changes_of, event_of, line_of
from xlmgen.review.network import Measure
from xlmgen.review.semantic import Change
from xlmgen.review.side import After, Before, Side, Spec, is_under, write_kinds
from xlmgen.spec.diagnostics import errors
from xlmgen.spec.document import dotted
from xlmgen.spec.schemas import built_in
from xlmgen.spec.validate import validate

WORDS = ("name", "title", "summary")  # keys of tasks and experiments without effect


@dataclass(frozen=True)
class Review:
    """Result of a review: changed specs, and all places where YAML runs code.

    Args:
        against: the commit as the user named it.
        measure: vocabulary and length for which costs are counted.
        items: the specs that differ.
        hooks: places where YAML runs code.
        unchanged: number of specs without a difference.
    """

    against: str
    measure: Measure
    items: Sequence[Item]
    hooks: Sequence[Hook]
    unchanged: int

    def exit_code(self, fail_on: Iterable[str]) -> int:
        """Return 1 if a spec has problems or a change has a class of `fail_on`."""
        found = {of for item in self.items for of in item.classes}
        broken = any(item.problems for item in self.items)
        return 1 if broken or found & set(fail_on) else 0


def review(against: str, paths: Iterable[Path], measure: Measure) -> Review:
    """Compare specs and renders in the working tree with those of a commit.

    Args:
        against: a branch, tag or commit.
        paths: files and folders in one repository.
        measure: vocabulary and length for which costs are counted.

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
    families = {
        place: FamilyPair(before, after, old, new)
        for place, (old, new) in enumerate(pairs)
        if _is_family(old, new)
    }
    compared = dict(
        zip(families, family_items(list(families.values()), measure), strict=True)
    )
    found = [
        compared[place] if place in compared else _item(before, after, old, new)
        for place, (old, new) in enumerate(pairs)
    ]
    items = [item for item in found if item is not None]
    return Review(
        before.commit.ref,
        measure,
        items,
        list(hooks(before.specs, after.specs)),
        len(pairs) - len(items),
    )


def _is_family(old: Spec | None, new: Spec | None) -> bool:
    """Whether a pair is a family whose current spec, if any, has no problems."""
    if new is None:
        return old is not None and old.kind == "family"
    return new.kind == "family" and not new.problems


def _pairs(
    before: Mapping[str, Spec], after: Mapping[str, Spec]
) -> Iterator[tuple[Spec | None, Spec | None]]:
    """Pair the specs of both sides by path; pair renamed families by content."""
    gone = [spec for path, spec in before.items() if path not in after]
    for path, new in after.items():
        old = before.get(path) or next((s for s in gone if _renamed(s, new)), None)
        if old in gone:
            gone.remove(old)
        yield old, new
    for old in gone:
        yield old, None


def _renamed(old: Spec, new: Spec) -> bool:
    """Whether a new family is an old one with another name or path."""
    if old.kind != "family" or new.kind != "family":
        return False
    unnamed = ({**spec.data, "name": ""} for spec in (old, new))
    return old.name == new.name or next(unnamed) == next(unnamed)


def _item(before: Side, after: Side, old: Spec | None, new: Spec | None) -> Item | None:
    """Compare a task, an experiment or a spec with problems; None if unchanged."""
    if new is None or not new.problems:
        return _settings(before, after, old, new)
    if old is not None and old.document.text == new.document.text and old.problems:
        return None  # unchanged, with the same problems
    return Item(new.path, new.kind, new.name, event_of(old, new), problems=new.problems)


def _settings(
    before: Side, after: Side, old: Spec | None, new: Spec | None
) -> Item | None:
    """Compare a task or an experiment; None if unchanged."""
    some = new or old
    assert some is not None
    event = event_of(old, new)
    reasons: list[Reason] = []
    changed: list[Change] = []
    if old is not None and some.kind == "task":
        reasons += classes.config_of_task(before, after, old, new)
    if old is not None and new is not None:
        changed = changes_of(old, new)
        known = [] if old.problems else validate(old.document, old.kind, after.schemas)
        for problem in errors(known):
            text = f"its earlier version is no longer valid: {problem.text}"
            reasons.append(Reason(Class.config, text))
        reasons += [
            _setting(some.kind, change)
            for change in changed
            if change.path[0] not in WORDS
        ]
    same = old and new and old.document.text == new.document.text
    if event == "changed" and not changed and not reasons and same:
        return None
    line = line_of(new, changed)
    return Item(some.path, some.kind, some.name, event, line, changed, reasons)


def _setting(kind: str, change: Change) -> Reason:
    """Classify a changed setting: a tokenizer's breaks checkpoints.

    The rows of an embedding belong to other tokens then.
    """
    key = dotted(change.path)
    if kind == "task" and change.path[0] == "tokenizer":
        return Reason(Class.checkpoint, f"{key}: ids have another meaning or number")
    return Reason(Class.behaviour, f"{key} has another value")


def _place(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        fix = f"name files and folders of {root}"
        raise UserError(f"{path} is not in the repository {root}", fix) from None

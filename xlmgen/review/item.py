"""A changed spec: its changed keys and what the change breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xlmgen.review.classes import Class, Reason
from xlmgen.review.network import Network
from xlmgen.review.semantic import ABSENT, Change, changes
from xlmgen.review.side import Spec
from xlmgen.spec.diagnostics import Diagnostic


@dataclass(frozen=True)
class Item:
    """A spec that has changed.

    Args:
        path: from the top of the repository, with forward slashes.
        kind: `family`, `task` or `experiment`.
        name: of the spec.
        event: `added`, `removed`, `renamed from …`, `moved from …` or `changed`.
        line: first changed line of the spec; 1 if no line has changed.
        changes: keys with another value, with all defaults filled in.
        reasons: what the change breaks; empty if nothing.
        networks: old and new network by size, for sizes whose network is new or may
            differ; None if the network is missing or could not be determined.
        notes: limits of the comparison.
        diff: unified diff of the rendered files.
        problems: of the new spec; a spec with problems is not compared further.
    """

    path: str
    kind: str
    name: str
    event: str = "changed"
    line: int = 1
    changes: Sequence[Change] = ()
    reasons: Sequence[Reason] = ()
    networks: Mapping[str, tuple[Network | None, Network | None]] = field(
        default_factory=dict
    )
    notes: Sequence[str] = ()
    diff: str = ""
    problems: Sequence[Diagnostic] = ()

    @property
    def classes(self) -> list[Class]:
        """Classes of the change, the worst first; empty if only words changed."""
        found = {reason.of for reason in self.reasons}
        return [of for of in Class if of in found]


def event_of(old: Spec | None, new: Spec | None) -> str:
    """Return `added`, `removed`, `renamed from …`, `moved from …` or `changed`."""
    if old is None:
        return "added"
    if new is None:
        return "removed"
    named = not old.problems and not new.problems  # else a name may be unreadable
    if named and old.name != new.name and new.kind == "family":
        return f"renamed from {old.name}"
    return "changed" if old.path == new.path else f"moved from {old.path}"


def changes_of(old: Spec, new: Spec) -> list[Change]:
    """List the keys whose values differ between two specs.

    A key that only one side's schemas have counts only if that side's file has it.
    """
    written = {*old.document.values, *new.document.values}
    return [
        change
        for change in changes(old.data, new.data)
        if ABSENT not in (change.old, change.new) or change.path in written
    ]


def line_of(spec: Spec | None, changed: Sequence[Change]) -> int:
    """Return the first changed line of a spec; 1 if no line has changed."""
    if spec is None or not changed:
        return 1
    return min(spec.document.span(change.path, key=True).line for change in changed)

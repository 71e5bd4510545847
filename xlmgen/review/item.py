"""One spec that differs: what it says differently and what that breaks."""

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
    """One spec that is not as it was.

    Args:
        path: from the top of the repository, with forward slashes.
        kind: `family`, `task` or `experiment`.
        event: `added`, `removed`, `renamed from …` or `changed`.
        line: where the spec is first changed; 1 where no line of it is.
        changes: what the spec says differently, every default filled in.
        reasons: what breaks; none where nothing does.
        networks: of a family's sizes whose network is new or may differ, before and
            after; None where it was not there or could not be determined.
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
    networks: Mapping[str, tuple[Network | None, Network | None]] = field(
        default_factory=dict
    )
    notes: Sequence[str] = ()
    diff: str = ""
    problems: Sequence[Diagnostic] = ()

    @property
    def classes(self) -> list[Class]:
        """The classes of its change, the worst first; none is a change of words."""
        found = {reason.of for reason in self.reasons}
        return [of for of in Class if of in found]


def event_of(old: Spec | None, new: Spec | None) -> str:
    """`added`, `removed`, `renamed from …`, `moved from …` or `changed`."""
    if old is None:
        return "added"
    if new is None:
        return "removed"
    named = not old.problems and not new.problems  # else a name may be unreadable
    if named and old.name != new.name and new.kind == "family":
        return f"renamed from {old.name}"
    return "changed" if old.path == new.path else f"moved from {old.path}"


def changes_of(old: Spec, new: Spec) -> list[Change]:
    """What two specs say differently.

    A key that only one side's schemas have counts where that side's file writes it.
    """
    written = {*old.document.values, *new.document.values}
    return [
        change
        for change in changes(old.data, new.data)
        if ABSENT not in (change.old, change.new) or change.path in written
    ]


def line_of(spec: Spec | None, changed: Sequence[Change]) -> int:
    """The line where a spec is first changed; 1 where no line of it is."""
    if spec is None or not changed:
        return 1
    return min(spec.document.span(change.path, key=True).line for change in changed)

"""Compare the values of two versions of a spec, independent of their layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlmgen.spec.document import Path, dotted
from xlmgen.spec.messages import show


class _Absent:
    """Placeholder of a missing value."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Change:
    """One key whose value differs; `ABSENT` if a version lacks the key."""

    path: Path
    old: Any
    new: Any

    @property
    def text(self) -> str:
        """Format the change as `loss.weight: 'none' → 'schedule'`."""
        return f"{dotted(self.path)}: {_said(self.old)} → {_said(self.new)}"


def changes(old: Any, new: Any, at: Path = ()) -> list[Change]:
    """List the keys whose values differ, in the order of the newer version.

    If the kind of a component differs, options that only one of the kinds has are left
    out.
    """
    return list(_changes(old, new, at))


def _changes(old: Any, new: Any, at: Path) -> Iterator[Change]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new or type(old) is not type(new):
            yield Change(at, old, new)
        return
    another = old.get("kind") != new.get("kind")
    for key in dict.fromkeys((*new, *old)):
        if another and not (key in old and key in new):
            continue
        yield from _changes(old.get(key, ABSENT), new.get(key, ABSENT), (*at, key))


def _said(value: Any) -> str:
    return "absent" if value is ABSENT else show(value)

"""What two versions of a spec say differently, whatever way they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlmgen.spec.document import Path, dotted
from xlmgen.spec.messages import show


class _Absent:
    """In place of a value where there is none."""


ABSENT = _Absent()


@dataclass(frozen=True)
class Change:
    """One key whose value differs; `ABSENT` where a version does not have it."""

    path: Path
    old: Any
    new: Any

    @property
    def text(self) -> str:
        """`loss.weight: 'none' → 'schedule'`."""
        return f"{dotted(self.path)}: {_said(self.old)} → {_said(self.new)}"


def changes(old: Any, new: Any, at: Path = ()) -> list[Change]:
    """The keys whose values differ, in the order of the newer version.

    Of a component that has become another kind, options that only one of the kinds has
    are left out: they go with the kind.
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

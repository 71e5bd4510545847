"""Compare a family's two versions: their specs, renders and networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from xlmgen.render.drift import unified
from xlmgen.render.plan import LOCK, SPEC
from xlmgen.review import classes
from xlmgen.review.classes import Class, Reason, sizes
from xlmgen.review.item import Item, changes_of, event_of, line_of
from xlmgen.review.network import (
    Asked,
    Measure,
    Network,
    Networks,
    Unknown,
    build,
    buildable,
)
from xlmgen.review.semantic import Change
from xlmgen.review.side import After, Before, Side, Spec
from xlmgen.review.surface import differing, same_code


@dataclass(frozen=True)
class FamilyPair:
    """Old and new version of one family; one of them may be missing.

    The new spec has no problems.
    """

    before: Before
    after: After
    old: Spec | None
    new: Spec | None

    @property
    def some(self) -> Spec:
        """The new spec, or the old one of a removed family."""
        some = self.new or self.old
        assert some is not None
        return some

    @cached_property
    def old_files(self) -> Mapping[str, str] | None:
        return self.before.render(self.old) if self.old else {}

    @cached_property
    def new_files(self) -> Mapping[str, str] | None:
        return self.after.render(self.new) if self.new else {}

    @cached_property
    def changed(self) -> list[Change]:
        return changes_of(self.old, self.new) if self.old and self.new else []

    @cached_property
    def diff(self) -> str:
        return _diff(self.some, self.old_files or {}, self.new_files or {})

    @property
    def renamed(self) -> bool:
        return bool(self.old and self.new and self.old.name != self.new.name)

    @cached_property
    def is_same(self) -> bool:
        """Whether spec and render are unchanged."""
        return (
            self.old is not None
            and self.new is not None
            and event_of(self.old, self.new) == "changed"
            and self.old.document.text == self.new.document.text
            and not self.changed
            and not self.diff
        )

    @cached_property
    def sizes(self) -> list[str]:
        """Sizes whose network is new or may differ."""
        after = sizes(self.new) if self.new else {}
        before = sizes(self.old) if self.old else {}
        if self._same_model and not self.before.has_other_layers:
            return [size for size in after if after[size] != before.get(size)]
        return list(after)

    @property
    def _same_model(self) -> bool:
        """Whether both sides have the same code of the network."""
        if self.renamed:
            return False
        path = f"model_{self.some.name}.py"
        old, new = (self.old_files or {}).get(path), (self.new_files or {}).get(path)
        return old is not None and new is not None and same_code(old, new)

    def asked(self, side: Side) -> Asked:
        """Return the networks to build for one of the two sides."""
        is_old = side is self.before
        family = self.old if is_old else self.new
        files = (self.old_files if is_old else self.new_files) or {}
        names = [size for size in self.sizes if family and size in sizes(family)]
        if family is None or not names:
            return Asked(Unknown("the family has no such sizes"), ())
        return Asked(buildable(side, family, files), names)


def family_items(pairs: Sequence[FamilyPair], measure: Measure) -> list[Item | None]:
    """Compare families; None for each one without a difference.

    One subprocess builds all networks.
    """
    old = [pair.asked(pair.before) for pair in pairs]
    new = [pair.asked(pair.after) for pair in pairs]
    built = build([*old, *new], measure)
    sides = zip(pairs, built[: len(pairs)], built[len(pairs) :], strict=True)
    return [_item(pair, before, after) for pair, before, after in sides]


def _item(
    pair: FamilyPair, old_networks: Networks, new_networks: Networks
) -> Item | None:
    if pair.is_same and not old_networks:
        return None
    reasons = list(_reasons(pair, old_networks, new_networks))
    if pair.is_same and not reasons:
        return None
    some = pair.some
    networks = {
        size: (_known(old_networks.get(size)), _known(new_networks.get(size)))
        for size in pair.sizes
    }
    return Item(
        some.path,
        "family",
        some.name,
        event_of(pair.old, pair.new),
        line_of(pair.new, pair.changed),
        pair.changed,
        reasons,
        networks,
        list(_notes(pair, new_networks)),
        pair.diff,
    )


def _reasons(
    pair: FamilyPair, old_networks: Networks, new_networks: Networks
) -> Iterator[Reason]:
    old, new = pair.old, pair.new
    if old is None:
        return
    yield from classes.checkpoint(old_networks, new_networks)
    yield from classes.config(pair.before, pair.after, old, new)
    if pair.renamed or new is None:
        yield Reason(Class.source, f"the package {old.name} is gone")
    elif pair.old_files and pair.new_files:
        yield from classes.source(pair.old_files, pair.new_files)
        yield from classes.behaviour(pair.old_files, pair.new_files)


def _notes(pair: FamilyPair, new_networks: Networks) -> Iterator[str]:
    for files, when in (
        (pair.old_files, f"at {pair.before.commit.ref}"),
        (pair.new_files, "now"),
    ):
        if files is None:
            yield f"this xlmgen cannot render its files {when}"
    unknown = {n.reason for n in new_networks.values() if isinstance(n, Unknown)}
    for reason in sorted(unknown):
        yield f"its weights could not be determined: {reason}"


def _known(found: Network | Unknown | None) -> Network | None:
    return found if isinstance(found, Network) else None


def _diff(family: Spec, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Format the unified diff of rendered files, without the lock file."""
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

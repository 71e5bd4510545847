"""Find what a change of a family or a task breaks, by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from xlmgen.review.fit import experiments_on, misfit
from xlmgen.review.network import Networks, Shape, Unknown
from xlmgen.review.side import Side, Spec
from xlmgen.review.surface import broken, same_code

Files = Mapping[str, str]
MOST = 3  # names that one line lists


class Class(StrEnum):
    """Severity of a change, the worst first."""

    checkpoint = "checkpoint"  # old weights no longer load
    config = "config"  # old experiments no longer validate
    source = "source"  # public names of the render are gone or have new signatures
    behaviour = "behaviour"  # the same interface computes something else


@dataclass(frozen=True)
class Reason:
    """Description of a break, and its class."""

    of: Class
    text: str


def sizes(family: Spec) -> dict[str, dict[str, Any]]:
    """Return a family's sizes; none if its spec has problems."""
    found = family.data.get("sizes")
    return found if isinstance(found, dict) and not family.problems else {}


def checkpoint(before: Networks, after: Networks) -> Iterator[Reason]:
    """Yield sizes whose state dict differs in names or shapes, or may differ."""
    sizes_by_text: dict[str, list[str]] = {}
    for size, old in before.items():
        new = after.get(size)
        if isinstance(new, Unknown) or isinstance(old, Unknown):
            unknown = new if isinstance(new, Unknown) else old
            assert isinstance(unknown, Unknown)
            text = f"its weights could not be determined: {unknown.reason}"
        else:
            text = "" if new is None else _shapes(old.shapes, new.shapes)
        if text:
            sizes_by_text.setdefault(text, []).append(size)
    for text, names in sizes_by_text.items():
        yield Reason(Class.checkpoint, f"{', '.join(names)}: {text}")


def config(before: Side, after: Side, old: Spec, new: Spec | None) -> Iterator[Reason]:
    """Yield sizes that are gone, and experiments that are no longer valid."""
    if new is None:
        yield Reason(Class.config, f"experiments on {old.name} find no family")
        return
    if old.problems or new.problems:
        return
    if old.name != new.name:
        yield Reason(Class.config, f"experiments on {old.name} must name {new.name}")
    for size in sizes(old):
        if size not in sizes(new):
            yield Reason(Class.config, f"the size {size} is gone")
    for experiment in experiments_on(old, before):
        if experiment.problems or misfit(experiment, before):
            continue
        if sizes(old).keys() >= {experiment.data["size"]} and (
            experiment.data["size"] not in sizes(new)
        ):
            continue  # reported above
        if reason := misfit(experiment, after, family=new):
            yield Reason(Class.config, f"{experiment.path}: {reason}")


def config_of_task(
    before: Side, after: Side, old: Spec, new: Spec | None
) -> Iterator[Reason]:
    """Yield experiments that were valid with a task and no longer are."""
    if new is None:
        yield Reason(Class.config, f"experiments on {old.name} find no task")
        return
    if old.problems or new.problems:
        return
    for experiment in experiments_on(old, before):
        if experiment.problems or misfit(experiment, before):
            continue
        if reason := misfit(experiment, after):
            yield Reason(Class.config, f"{experiment.path}: {reason}")


def source(before: Files, after: Files) -> Iterator[Reason]:
    """Yield public names of rendered modules that are gone or have new signatures."""
    for path in modules(before):
        if path not in after:
            yield Reason(Class.source, f"{path} is gone")
            continue
        for text in broken(before[path], after[path]):
            yield Reason(Class.source, f"{path}: {text}")


def behaviour(before: Files, after: Files) -> Iterator[Reason]:
    """Yield rendered modules whose code differs."""
    for path in modules(before):
        if path in after and not same_code(before[path], after[path]):
            yield Reason(Class.behaviour, f"{path} computes something else")


def modules(files: Files) -> list[str]:
    """Return the paths of a family's modules; tests have no public names."""
    return [path for path in sorted(files) if path.endswith(".py") and "/" not in path]


def _shapes(old: Mapping[str, Shape], new: Mapping[str, Shape]) -> str:
    gone = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    other = [
        f"{name} {_dims(old[name])} → {_dims(new[name])}"
        for name in old
        if name in new and old[name] != new[name]
    ]
    parts = ((gone, "gone"), (added, "new"), (other, "with another shape"))
    return "; ".join(
        f"{len(names)} {what} ({', '.join(names[:MOST])}{', …' * (len(names) > MOST)})"
        for names, what in parts
        if names
    )


def _dims(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"

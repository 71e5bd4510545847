"""What a change of a family breaks, by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from xlmgen.registry import PACKAGE
from xlmgen.render.context import class_name
from xlmgen.review.fit import experiments_on, misfit
from xlmgen.review.layers import Shape
from xlmgen.review.side import Side, Spec
from xlmgen.review.surface import broken, same_code
from xlmgen.review.weights import CannotTell, Weights, read_weights

Files = Mapping[str, str]
MOST = 3  # names that one line lists


class Class(StrEnum):
    """How much a change breaks, the worst first."""

    checkpoint = "checkpoint"  # old weights no longer load
    config = "config"  # old experiments no longer validate
    source = "source"  # public names of the render are gone or are called otherwise
    behaviour = "behaviour"  # the same interface computes something else


@dataclass(frozen=True)
class Reason:
    """What is broken, and the class of it."""

    of: Class
    text: str


@dataclass(frozen=True)
class Cost:
    """What one size costs.

    Args:
        parameters: trained numbers.
        flops: of training on one token, see `cost`.
    """

    parameters: int
    flops: int


@dataclass(frozen=True)
class Measure:
    """What parameters and costs are counted for, which no family says itself."""

    vocabulary: int
    length: int


def weights_of(
    side: Side, family: Spec, files: Files, measure: Measure
) -> dict[str, Weights | CannotTell]:
    """The weights of every size of a family, or why they cannot be told."""

    def find(module: str) -> str | None:
        inner = module.removeprefix(f"{PACKAGE}.{family.name}.")
        return side.library(module) if inner == module else files.get(f"{inner}.py")

    read = partial(
        read_weights,
        find,
        f"{PACKAGE}.{family.name}.model_{family.name}",
        f"{class_name(family.name)}Model",
    )
    found: dict[str, Weights | CannotTell] = {}
    for size, numbers in sizes(family).items():
        given = {key: n for key, n in numbers.items() if n is not None}
        try:
            found[size] = read({"vocab_size": measure.vocabulary, **given})
        except CannotTell as reason:
            found[size] = reason
    return found


def cost(weights: Weights, numbers: Mapping[str, Any], measure: Measure) -> Cost:
    """Parameters and the floating-point operations of training on one token.

    Six for every number of a linear layer (two forward, four backward; Kaplan et al.
    2020, arXiv:2001.08361), and 12 · layers · d_model · length for attention over all
    positions (Chowdhery et al. 2022, arXiv:2204.02311, appendix B). The head counts at
    every position, though a loss may need it at some only.
    """
    attention = 12 * numbers["layers"] * numbers["d_model"] * measure.length
    return Cost(weights.parameters, 6 * weights.multiplied + attention)


def sizes(family: Spec) -> dict[str, dict[str, Any]]:
    found = family.data.get("sizes")
    return found if isinstance(found, dict) and not family.problems else {}


def checkpoint(
    before: Mapping[str, Weights | CannotTell],
    after: Mapping[str, Weights | CannotTell],
    *,
    same_model: bool,
) -> Iterator[Reason]:
    """Sizes whose state dict has other names or shapes.

    Args:
        same_model: whether the model's code is the same, so that where its weights
            cannot be told there is nothing to say.
    """
    said: dict[str, list[str]] = {}
    for size, old in before.items():
        new = after.get(size)
        if new is None:
            continue
        if isinstance(old, Weights) and isinstance(new, Weights):
            text = _shapes(old.shapes, new.shapes)
        else:
            reason = new if isinstance(new, CannotTell) else old
            text = "" if same_model else f"its weights cannot be told: {reason}"
        if text:
            said.setdefault(text, []).append(size)
    for text, names in said.items():
        yield Reason(Class.checkpoint, f"{', '.join(names)}: {text}")


def config(before: Side, after: Side, old: Spec, new: Spec | None) -> Iterator[Reason]:
    """Experiments and sizes that were fine with a family and no longer are."""
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
            continue  # told already
        if reason := misfit(experiment, after, family=new):
            yield Reason(Class.config, f"{experiment.path}: {reason}")


def config_of_task(
    before: Side, after: Side, old: Spec, new: Spec | None
) -> Iterator[Reason]:
    """Experiments that were fine with a task and no longer are."""
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
    """Public names of the rendered modules that are gone or called otherwise."""
    for path in modules(before):
        if path not in after:
            yield Reason(Class.source, f"{path} is gone")
            continue
        for said in broken(before[path], after[path]):
            yield Reason(Class.source, f"{path}: {said}")


def behaviour(before: Files, after: Files) -> Iterator[Reason]:
    """Rendered modules whose code differs."""
    for path in modules(before):
        if path in after and not same_code(before[path], after[path]):
            yield Reason(Class.behaviour, f"{path} computes otherwise")


def modules(files: Files) -> list[str]:
    """The modules of a family; its tests are not for others to use."""
    return [path for path in sorted(files) if path.endswith(".py") and "/" not in path]


def _shapes(old: Mapping[str, Shape], new: Mapping[str, Shape]) -> str:
    gone = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    other = [
        f"{name} {_dims(old[name])} → {_dims(new[name])}"
        for name in old
        if name in new and old[name] != new[name]
    ]
    parts = ((gone, "gone"), (added, "new"), (other, "of another shape"))
    return "; ".join(
        f"{len(names)} {what} ({', '.join(names[:MOST])}{', …' * (len(names) > MOST)})"
        for names, what in parts
        if names
    )


def _dims(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "scalar"

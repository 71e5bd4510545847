"""Noise schedule of a family as Python code."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlmgen.render.python import class_name
from xlmgen.spec.family import FamilySpec

CLASSES = {
    "linear": ("LinearSchedule", ()),
    "cosine": ("CosineSchedule", ()),
    "polynomial": ("PolynomialSchedule", ("exponent",)),
    "geometric": ("GeometricSchedule", ("sigma_min", "sigma_max")),
    "hybrid": ("HybridSchedule", ("uniform_share",)),
}


@dataclass(frozen=True)
class ScheduleCode:
    class_name: str
    expression: str
    exact_ends: bool  # α runs from exactly 1 to exactly 0
    own: bool = False  # a class that the family renders, not one of the runtime


@dataclass(frozen=True)
class SchedulePair:
    """Schedules of insertion and unmasking."""

    insert: str  # expressions
    unmask: str
    own = False
    class_names: tuple[str, ...]  # imports from xlmgen.runtime.noise

    @property
    def class_name(self) -> str:
        """Class names as a list in Markdown, for the README."""
        return "`, `xlmgen.runtime.noise.".join(self.class_names)


def schedule_code(family: FamilySpec) -> ScheduleCode | SchedulePair:
    """Return the family's schedule or pair of schedules; linear if it has none.

    A project's own kind is a class of the family, with its numbers as defaults.
    """
    part = family.noise_schedule
    if part is None:
        return _single("linear", {})
    provided = family.provided
    # that of hybrid noise always has exact ends, and does not say so
    exact_ends = "exact_ends" in provided or "hybrid_schedule" in provided
    if part.kind == "insert_and_unmask":
        return _pair(part.options["insert"], part.options["unmask"])
    if part.kind in CLASSES:
        return _single(part.kind, part.options, exact_ends=exact_ends)
    name = f"{class_name(family.name)}Schedule"
    return ScheduleCode(name, f"{name}()", exact_ends, own=True)


def sampling_eps(family: FamilySpec) -> str:
    """Return the expression of the distance that training times keep from the limit.

    Evaluation draws from the full interval, so that it estimates the full bound.
    """
    assert family.noise_schedule is not None
    eps = family.noise_schedule.options["sampling_eps"]
    return f"0.0 if evaluation else {eps}" if eps else "0.0"


def _single(
    kind: str, options: Mapping[str, Any], *, exact_ends: bool = True
) -> ScheduleCode:
    name, numbers = CLASSES[kind]
    arguments = ", ".join(f"{key}={options[key]!r}" for key in numbers)
    return ScheduleCode(name, f"{name}({arguments})", exact_ends)


def _pair(insert: Mapping[str, Any], unmask: Mapping[str, Any]) -> SchedulePair:
    one, two = (_single(each["kind"], each) for each in (insert, unmask))
    names = sorted({one.class_name, two.class_name})
    return SchedulePair(
        insert=one.expression,
        unmask=two.expression,
        class_names=tuple(names),
    )

"""The noise schedule of a family, as Python."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec

CLASSES = {
    "linear": ("LinearSchedule", ()),
    "cosine": ("CosineSchedule", ()),
    "polynomial": ("PolynomialSchedule", ("exponent",)),
    "geometric": ("GeometricSchedule", ("sigma_min", "sigma_max")),
}


@dataclass(frozen=True)
class ScheduleCode:
    class_name: str
    expression: str
    exact_ends: bool  # α runs from exactly 1 to exactly 0
    flat_end: bool  # α may round to 1 before the time is 0


def schedule_code(family: FamilySpec) -> ScheduleCode:
    """The family's schedule; the linear one where it names none."""
    part = family.noise_schedule
    kind = "linear" if part is None else part.kind
    class_name, names = CLASSES[kind]
    options = {} if part is None else part.options
    arguments = ", ".join(f"{name}={options[name]!r}" for name in names)
    return ScheduleCode(
        class_name,
        f"{class_name}({arguments})",
        exact_ends=kind != "geometric",
        flat_end=kind == "polynomial",
    )

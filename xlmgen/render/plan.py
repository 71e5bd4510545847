"""Templates and paths of a family's files."""

from __future__ import annotations

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec

SPEC = "family.yaml"
LOCK = "family.lock"
COMPONENTS = ("model", "loss", "predictor", "collator")
# Tasks that ship; every family has an experiment on each.
EXPERIMENTS = (
    "star_tiny",
    "star_easy",
    "star_medium",
    "star_hard",
    "shakespeare_char",
    "text",
)


@dataclass(frozen=True)
class Step:
    """One rendered file: a template's name and the file's path in the family folder."""

    template: str
    path: str


def own_schedule(family: FamilySpec) -> bool:
    """Whether the noise schedule is a kind of the project; others need no file."""
    part = family.noise_schedule
    return bool(part and ("noise_schedule", part.kind) in family.project.kinds)


def plan(family: FamilySpec) -> list[Step]:
    """List the files of a family that have templates: all but its spec and its lock.

    A component's kind names its template; the other files have one template each.
    """
    name = family.name
    components = [
        Step(
            f"family/{component}/{getattr(family, component).kind}.py.jinja",
            f"{component}_{name}.py",
        )
        for component in COMPONENTS
    ]
    tests = [
        Step(
            f"family/tests/test_{component}.py.jinja",
            f"tests/test_{component}_{name}.py",
        )
        for component in COMPONENTS
    ]
    experiments = [
        Step(f"family/experiments/{task}.yaml.jinja", f"experiments/{task}.yaml")
        for task in EXPERIMENTS
    ]
    if own_schedule(family):
        assert family.noise_schedule is not None
        kind = family.noise_schedule.kind
        components.append(
            Step(f"family/noise_schedule/{kind}.py.jinja", f"schedule_{name}.py")
        )
        tests.append(
            Step(
                "family/tests/test_schedule.py.jinja", f"tests/test_schedule_{name}.py"
            )
        )
    return [
        Step("family/__init__.py.jinja", "__init__.py"),
        Step("family/types.py.jinja", f"types_{name}.py"),
        *components,
        Step("family/metrics.py.jinja", f"metrics_{name}.py"),
        *tests,
        Step("family/README.md.jinja", "README.md"),
        *experiments,
    ]

"""Networks of families: what may be built, and what another process measured of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xlmgen.errors import UserError
from xlmgen.io import bounded
from xlmgen.render import render_files
from xlmgen.review.meta import Request, measure
from xlmgen.review.side import Side, Spec
from xlmgen.review.surface import same_code
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import FamilySpec, family_spec
from xlmgen.spec.project import BUILT_IN

Shape = tuple[int, ...]

SECONDS = 60
"""Processor time for all networks of one review; one of 12 layers takes a third of one.
"""
PRELOAD = ("torch", "torch.utils.flop_counter")


@dataclass(frozen=True)
class Measure:
    """The vocabulary and length of costs, which no family's spec has."""

    vocabulary: int
    length: int


@dataclass(frozen=True)
class Network:
    """The network of one size.

    Args:
        shapes: of the state dict, by name; saved buffers included.
        modules: trained parameters of every module directly in the network; a shared
            one counts once.
        flops: floating-point operations of training on one token.
    """

    shapes: Mapping[str, Shape]
    modules: Mapping[str, int]
    flops: int

    @property
    def parameters(self) -> int:
        """Trained parameters."""
        return sum(self.modules.values())


@dataclass(frozen=True)
class Unknown:
    """In place of a network that could not be built or may not be."""

    reason: str


Networks = Mapping[str, Network | Unknown]
"""By the names of sizes."""


@dataclass(frozen=True)
class Asked:
    """The sizes of a family that are to be built of one side."""

    spec: FamilySpec | Unknown
    sizes: Sequence[str]


def buildable(
    side: Side, family: Spec, files: Mapping[str, str]
) -> FamilySpec | Unknown:
    """The spec to build a side's network from, or the reason why there is none.

    A network is built from a render of the spec by the packaged templates, never from
    the side's own files: those must be the same code.

    Args:
        files: the side's render.
    """
    own = family.project.used(
        (component, options["kind"])
        for component, options in family.data.items()
        if isinstance(options, dict) and "kind" in options
    )
    if own:
        named = ", ".join(f"{kind.component} {kind.name}" for kind in own)
        return Unknown(f"code of the project's own kinds is not run ({named})")
    if side.has_other_layers:
        return Unknown("its xlmgen.runtime.nn is not the installed one")
    try:
        spec = replace(family_spec(family.document, BUILT_IN), source="")
        ours = render_files(spec)
    except (SpecError, UserError):
        return Unknown("the installed xlmgen does not render its spec")
    path = f"model_{spec.name}.py"
    if path not in files or not same_code(files[path], ours[path]):
        return Unknown(
            f"{path} is not what the installed templates render, and only that is "
            "built: the file was edited, or is of another version of xlmgen"
        )
    return spec


def build(asked: Sequence[Asked], numbers: Measure) -> list[Networks]:
    """The networks of every side that was asked for, from one bounded process.

    Raises:
        UserError: no process can be started.
    """
    wanted = [
        (side.spec, side.sizes)
        for side in asked
        if isinstance(side.spec, FamilySpec) and side.sizes
    ]
    answers = iter(_measure(wanted, numbers) if wanted else [])
    return [
        dict.fromkeys(side.sizes, side.spec)
        if isinstance(side.spec, Unknown)
        else (next(answers) if side.sizes else {})
        for side in asked
    ]


def _measure(
    wanted: list[tuple[FamilySpec, Sequence[str]]], numbers: Measure
) -> list[Networks]:
    request: Request = (wanted, numbers.vocabulary, numbers.length)
    try:
        answers = bounded.call(measure, request, seconds=SECONDS, preload=PRELOAD)
    except bounded.OutOfBounds as error:
        place = f" ({error.place})" if error.place else ""
        reason = Unknown(f"building the networks: {error}{place}")
        return [dict.fromkeys(sizes, reason) for _, sizes in wanted]
    return [
        {size: _network(found) for size, found in answer.items()} for answer in answers
    ]


def _network(found: dict[str, Any]) -> Network | Unknown:
    if "reason" in found:
        return Unknown(found["reason"])
    shapes = {name: tuple(shape) for name, shape in found["shapes"].items()}
    return Network(shapes, found["modules"], found["flops"])

"""Build and measure the networks of families in a bounded subprocess."""

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
"""CPU time for all networks of one review; a network of 12 layers takes 0.3 s."""
PRELOAD = ("torch", "torch.utils.flop_counter")


@dataclass(frozen=True)
class Measure:
    """Vocabulary and length for which costs are counted; a family's spec has neither.

    Args:
        vocabulary: number of tokens.
        length: tokens per row.
    """

    vocabulary: int
    length: int


@dataclass(frozen=True)
class Network:
    """The network of one size.

    Args:
        shapes: of the state dict by name, including saved buffers.
        modules: number of trained parameters by direct submodule; shared ones count
            once.
        flops: floating-point operations of training on one token.
    """

    shapes: Mapping[str, Shape]
    modules: Mapping[str, int]
    flops: int

    @property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(self.modules.values())


@dataclass(frozen=True)
class Unknown:
    """Placeholder of a network that was not built, with the reason."""

    reason: str


Networks = Mapping[str, Network | Unknown]
"""Networks by size."""


@dataclass(frozen=True)
class Asked:
    """Request to build some sizes of a family of one side."""

    spec: FamilySpec | Unknown
    sizes: Sequence[str]


def buildable(
    side: Side, family: Spec, files: Mapping[str, str]
) -> FamilySpec | Unknown:
    """Return the spec from which a side's network can be built, or the reason why not.

    A network is built from a render with the packaged templates, never from the side's
    own files. Both must have the same code.

    Args:
        side: the side.
        family: the side's spec of the family.
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
    """Build all requested networks in one bounded subprocess.

    Args:
        asked: the requests.
        numbers: vocabulary and length for which costs are counted.

    Raises:
        UserError: the subprocess cannot be started.
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

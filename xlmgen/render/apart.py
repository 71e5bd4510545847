"""A family with templates that somebody else wrote, rendered in a bounded process."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.io import bounded
from xlmgen.render.files import render_here
from xlmgen.spec.diagnostics import Diagnostic, SpecError
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.own_kinds import at

Request = tuple[FamilySpec, tuple[Path, ...] | None]


def render_apart(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """What `render_here` returns and raises, or that the templates take too much."""
    try:
        answer = bounded.call(answer_to, (family, search))
    except bounded.OutOfBounds as error:
        kinds = {f"family/{k.block}/{k.template.name}": k for k in family.own_kinds}
        kind = kinds.get(error.place, family.own_kinds[0])
        message = f"the template cannot be rendered: {error}"
        fix = "look for loops and texts that grow"
        raise SpecError([at(kind.template, "XG402", message, fix)]) from None
    if problems := answer.get("problems"):
        raise SpecError(Diagnostic(**problem) for problem in problems)
    if "message" in answer:
        raise UserError(**answer)
    files: dict[str, str] = answer["files"]
    return files


def answer_to(request: Request) -> dict[str, Any]:
    """In the process: the files, or what is wrong, as JSON holds it."""
    family, search = request
    try:
        return {"files": render_here(family, search, bounded.report)}
    except SpecError as error:
        return {"problems": [asdict(problem) for problem in error.diagnostics]}
    except UserError as error:
        return {
            "message": error.message,
            "fix": error.fix,
            "exit_code": error.exit_code,
        }

"""Render a family with untrusted templates in a process with limits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.io import bounded
from xlmgen.render.files import render_here
from xlmgen.spec.diagnostics import Diagnostic, SpecError
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.own_kinds import problem_at

Request = tuple[FamilySpec, tuple[Path, ...] | None]


def render_in_subprocess(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """Call `render_here` in a process with limits; exceeding them is a SpecError."""
    try:
        answer = bounded.call(answer_to, (family, search))
    except bounded.OutOfBounds as error:
        kinds = {f"family/{k.component}/{k.template.name}": k for k in family.own_kinds}
        kind = kinds.get(error.place, family.own_kinds[0])
        message = f"the template cannot be rendered: {error}"
        fix = "check it for endless loops and growing texts"
        raise SpecError([problem_at(kind.template, "XG402", message, fix)]) from None
    if problems := answer.get("problems"):
        raise SpecError(Diagnostic(**problem) for problem in problems)
    if "message" in answer:
        raise UserError(**answer)
    files: dict[str, str] = answer["files"]
    return files


def answer_to(request: Request) -> dict[str, Any]:
    """Render, in the limited process, and return files or problems as JSON data."""
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

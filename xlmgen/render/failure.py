"""Diagnose failures to render a project's own kind, with the line."""

from __future__ import annotations

import ast
import traceback
from pathlib import Path

from xlmgen.render.plan import Step
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.load import MAX_BYTES
from xlmgen.spec.own_kinds import problem_at


class Unusable(ValueError):
    """Raised if a template prints an invalid file."""


def require_file(text: str, step: Step) -> None:
    """Refuse a rendered text that is too long or not valid Python.

    Raises:
        Unusable: the message names the problem and the line.
    """
    if len(text) > MAX_BYTES:
        raise Unusable(f"{step.path} has more than {MAX_BYTES:,} characters")
    if not step.path.endswith(".py"):
        return
    try:
        ast.parse(text)
    except SyntaxError as error:
        lines = text.splitlines()
        number = min(error.lineno or 1, len(lines))
        said = f"{error.msg} in line {number} of {step.path}"
        raise Unusable(
            f"invalid Python: {said}, '{lines[number - 1].strip()}'"
        ) from None
    except (ValueError, RecursionError) as error:  # such as a null character
        raise Unusable(f"invalid Python: {error}, in {step.path}") from None


def missing_option(error: KeyError, family: FamilySpec) -> Diagnostic:
    """Make the diagnostic of a kind without an option that built-in templates use."""
    first, *others = family.own_kinds
    names = ", ".join(f"'{kind.name}'" for kind in (first, *others))
    message = f"another component needs an option {error}, which {names} does not have"
    fix = "add the option to the kind, as the built-in kinds have it"
    return problem_at(first.schema, "XG401", message, fix)


def diagnose(error: Exception, step: Step, family: FamilySpec) -> Diagnostic:
    """Make the diagnostic of a template that could not be rendered."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError

    path, line = _place(error, step, family)
    fix = ""
    match error:
        case TemplateSyntaxError():
            message = f"this is not a Jinja template: {error.message}"
            path, line = Path(error.filename or path), error.lineno
        case TemplateNotFound():
            message = f"there is no template {error.name}"
            fix = "template names are paths below `templates/`, with forward slashes"
        case UndefinedError():
            message = str(error.message)
            fix = "docs/own-kinds.md lists the variables of templates"
        case SecurityError():
            message = f"a template may not do this: {error.message}"
            fix = "templates can use their variables and other templates only"
        case Unusable():
            message = f"it prints {error}"
        case _:
            message = f"{type(error).__name__}: {error}"
    return problem_at(path, "XG402", message, fix, line)


def _place(error: Exception, step: Step, family: FamilySpec) -> tuple[Path, int]:
    """Find the innermost line of a project's template; else the top of the kind's own.

    A built-in template can only fail because of a project's own kind.
    """
    folders = family.project.templates
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if frame.lineno and any(path.is_relative_to(folder) for folder in folders):
            return path, frame.lineno
    own = [kind.template for kind in family.own_kinds]
    named = (path for path in own if path.as_posix().endswith(f"/{step.template}"))
    return next(named, own[0]), 1

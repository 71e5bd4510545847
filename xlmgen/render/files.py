"""Render the files of a family in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.render import failure
from xlmgen.render.context import context
from xlmgen.render.environment import environment
from xlmgen.render.plan import SPEC, plan
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import FamilySpec


def render_here(
    family: FamilySpec,
    search: tuple[Path, ...] | None = None,
    begins: Callable[[str], None] = lambda template: None,
) -> dict[str, str]:
    """Render all files of a family but its lock.

    Args:
        family: the validated spec.
        search: folders of templates, instead of those of the family's project.
        begins: called with the template of each file before it is rendered.

    Raises:
        SpecError: one of the project's own kinds cannot be rendered.
        UserError: a kind has a schema but no template.
    """
    from jinja2 import TemplateNotFound

    templates = environment(search or family.project.templates)
    own = bool(family.own_kinds)
    try:
        names = context(family)
    except KeyError as error:
        if not own:
            raise  # a bug of xlmgen
        raise SpecError([failure.missing_option(error, family)]) from error
    files: dict[str, str] = {}
    for step in plan(family):
        begins(step.template)
        try:
            files[step.path] = templates.get_template(step.template).render(names)
            if own:
                failure.require_file(files[step.path], step)
        except MemoryError:
            raise
        except Exception as error:
            if own:
                raise SpecError([failure.diagnose(error, step, family)]) from error
            if not isinstance(error, TemplateNotFound):
                raise  # a bug of xlmgen
            raise UserError(
                f"there is no template {error.name}", "add it beside the kind's schema"
            ) from error
    files[SPEC] = family.source
    return files

"""From a checked spec to the text of every file of its package."""

from __future__ import annotations

from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.render.context import context
from xlmgen.render.environment import environment
from xlmgen.render.lock import lock_text
from xlmgen.render.plan import LOCK, SPEC, plan
from xlmgen.spec.family import FamilySpec


def render(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """Every file of a family's package: relative posix path to text.

    Pure: the same spec gives the same bytes on every machine and at every time; the
    disk is read for templates only.

    Args:
        family: the checked spec.
        search: folders of templates, the nearest first; the built-in ones by default.

    Raises:
        UserError: a kind has a schema but no template.
    """
    from jinja2 import TemplateNotFound

    templates = environment(search)
    names = context(family)
    try:
        files = {
            step.path: templates.get_template(step.template).render(names)
            for step in plan(family)
        }
    except TemplateNotFound as error:
        raise UserError(
            f"there is no template {error.name}", "add it beside the kind's schema"
        ) from error
    files[SPEC] = family.source
    files[LOCK] = lock_text(family.source, files)
    return files

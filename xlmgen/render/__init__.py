"""From a checked spec to the text of every file of its package."""

from __future__ import annotations

from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.render import failure
from xlmgen.render.context import context
from xlmgen.render.environment import environment
from xlmgen.render.lock import lock_text
from xlmgen.render.plan import LOCK, SPEC, plan
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import FamilySpec


def render(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """Every file of a family's package: relative posix path to text.

    Pure: the same spec gives the same bytes on every machine and at every time; the
    disk is read for templates only, ours and those of the family's project.

    Raises:
        SpecError, UserError: those of `render_files`.
    """
    files = render_files(family, search)
    return files | {LOCK: lock_text(family.source, files)}


def render_files(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """What `render` gives but the lock, whose packing takes as long as the rest.

    Args:
        family: the checked spec.
        search: folders of templates, in place of those of the family's project.

    Raises:
        SpecError: one of the project's own kinds cannot be rendered.
        UserError: a kind has a schema but no template.
    """
    from jinja2 import TemplateNotFound

    templates = environment(search or family.project.templates)
    try:
        names = context(family)
    except KeyError as error:
        if not family.own_kinds:
            raise  # a mistake of ours
        raise SpecError([failure.missing_option(error, family)]) from error
    own = {str(kind.template) for kind in family.own_kinds}
    files: dict[str, str] = {}
    for step in plan(family):
        try:
            template = templates.get_template(step.template)
            files[step.path] = template.render(names)
            if template.filename in own:
                failure.require_python(files[step.path], step)
        except Exception as error:
            if own:
                raise SpecError([failure.diagnose(error, step, family)]) from error
            if not isinstance(error, TemplateNotFound):
                raise  # a mistake of ours
            raise UserError(
                f"there is no template {error.name}", "add it beside the kind's schema"
            ) from error
    files[SPEC] = family.source
    return files

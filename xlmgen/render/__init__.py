"""From a checked spec to the text of every file of its package."""

from __future__ import annotations

from pathlib import Path

from xlmgen.render.lock import lock_text
from xlmgen.render.plan import LOCK
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

    Templates that do not ship with xlmgen run in a process of bounded time and memory.

    Args:
        family: the checked spec.
        search: folders of templates, in place of those of the family's project.

    Raises:
        SpecError: one of the project's own kinds cannot be rendered.
        UserError: a kind has a schema but no template.
    """
    if family.own_kinds:
        from xlmgen.render.apart import render_apart

        return render_apart(family, search)
    from xlmgen.render.files import render_here

    return render_here(family, search)

"""Render a validated spec into the text of every file of its package."""

from __future__ import annotations

from pathlib import Path

from xlmgen.render.lock import lock_text
from xlmgen.render.plan import LOCK
from xlmgen.spec.family import FamilySpec


def render(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """Render a family's package: relative POSIX path to text.

    Pure: the same spec gives the same bytes on every machine. Only templates are read
    from the disk, the built-in ones and those of the family's project.

    Raises:
        SpecError, UserError: as `render_files`.
    """
    files = render_files(family, search)
    return files | {LOCK: lock_text(family.source, files)}


def render_files(
    family: FamilySpec, search: tuple[Path, ...] | None = None
) -> dict[str, str]:
    """Render all files but the lock, whose compression takes as long as the rest.

    Templates of a project run in a process with limited time and memory.

    Args:
        family: the validated spec.
        search: folders of templates, instead of those of the family's project.

    Raises:
        SpecError: one of the project's own kinds cannot be rendered.
        UserError: a kind has a schema but no template.
    """
    if family.own_kinds:
        from xlmgen.render.apart import render_in_subprocess

        return render_in_subprocess(family, search)
    from xlmgen.render.files import render_here

    return render_here(family, search)

"""The project of a family: the folder above it that has kinds of its own.

A project needs no configuration. It is the nearest folder above a file that has
`schemas/kinds/` or `templates/family/`, at most the top of the git repository; the
current folder does not matter. Its kinds add to the built-in ones and never replace
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from xlmgen import resources
from xlmgen.io.files import real_path
from xlmgen.spec.schemas import COMPONENTS, SUFFIX, Schemas, built_in

KINDS = Path("schemas", "kinds")
TEMPLATES = Path("templates", "family")
TEMPLATE_SUFFIX = ".py.jinja"

State = tuple[tuple[str, int, int], ...]  # path, size and time of every file


@dataclass(frozen=True)
class OwnKind:
    """A project's own kind: a schema and a template."""

    root: Path
    component: str
    name: str

    @property
    def schema(self) -> Path:
        return self.root / KINDS / self.component / f"{self.name}{SUFFIX}"

    @property
    def template(self) -> Path:
        return self.root / TEMPLATES / self.component / f"{self.name}{TEMPLATE_SUFFIX}"


@dataclass(frozen=True)
class Project:
    """The kinds that a family can use.

    Args:
        root: folder with the project's own kinds; None if there are built-in ones only.
        state: of the files in it; part of the key of caches about the project.
    """

    root: Path | None = None
    state: State = ()

    @cached_property
    def schemas(self) -> Schemas:
        """Built-in schemas, then its own."""
        if self.root is None:
            return built_in()
        return Schemas((*built_in().search, self.root / "schemas"), self.state)

    @cached_property
    def templates(self) -> tuple[Path, ...]:
        """Folders of templates: built-in, then its own."""
        own = () if self.root is None else (self.root / "templates",)
        return (resources.root() / "templates", *own)

    @cached_property
    def kinds(self) -> dict[tuple[str, str], OwnKind]:
        """Its own kinds by component and name."""
        if self.root is None:
            return {}
        found = (
            OwnKind(self.root, component, path.name.removesuffix(SUFFIX))
            for component in COMPONENTS
            for path in sorted((self.root / KINDS / component).glob(f"*{SUFFIX}"))
        )
        shipped = {component: built_in().kinds(component) for component in COMPONENTS}
        return {
            (kind.component, kind.name): kind
            for kind in found
            if kind.name not in shipped[kind.component]
        }

    def used(self, kinds: Iterable[tuple[str, object]]) -> list[OwnKind]:
        """Select its own kinds from pairs of component and kind."""
        known = [
            (component, name) for component, name in kinds if isinstance(name, str)
        ]
        return [self.kinds[key] for key in known if key in self.kinds]


BUILT_IN = Project()
"""The built-in kinds only."""


def project_of(file: str | os.PathLike[str], top: Path | None = None) -> Project:
    """Find the project that a file or folder belongs to.

    Args:
        file: may not exist.
        top: highest folder to search.
    """
    start = real_path(Path(file))
    for folder in (start, *start.parents):
        if folder == resources.root():
            break
        if (folder / KINDS).is_dir() or (folder / TEMPLATES).is_dir():
            return _project(folder, tuple(_state(folder)))
        if folder == top or (folder / ".git").exists():
            break
    return BUILT_IN


@cache
def _project(root: Path, state: State) -> Project:
    """Return one object per state, so that its cached properties are reused."""
    return Project(root, state)


def _state(root: Path) -> Iterator[tuple[str, int, int]]:
    for path in own_files(root):
        about = path.stat()
        yield str(path), about.st_size, about.st_mtime_ns


def own_files(root: Path) -> list[Path]:
    """List the files of a project's kinds: all files in the two folders, sorted.

    Links that lead out of the folders are omitted, so that they are never read.
    """
    return [
        path for path in _entries(root) if path.is_file() and not _leads_out(root, path)
    ]


def links_out(root: Path) -> list[Path]:
    """List links that lead out of the two folders."""
    folders = [root / part for part in (KINDS, TEMPLATES)]
    return [path for path in (*folders, *_entries(root)) if _leads_out(root, path)]


def _entries(root: Path) -> Iterator[Path]:
    for part in (KINDS, TEMPLATES):
        yield from sorted((root / part).rglob("*"))


def _leads_out(root: Path, path: Path) -> bool:
    top = path.relative_to(root).parts[0]
    return os.path.lexists(path) and not real_path(path).is_relative_to(
        real_path(root) / top
    )

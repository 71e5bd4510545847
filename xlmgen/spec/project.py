"""The project of a family: the folder above it that has kinds of its own.

A project needs no configuration. It is the nearest folder above a file that has
`schemas/kinds/` or `templates/family/`, no farther up than the top of the git
repository; the current folder plays no part. Its kinds stand beside those that ship
and never in their place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from xlmgen import resources
from xlmgen.io.files import real_path
from xlmgen.spec.schemas import BLOCKS, SUFFIX, Schemas, built_in

KINDS = Path("schemas", "kinds")
TEMPLATES = Path("templates", "family")
TEMPLATE_SUFFIX = ".py.jinja"

State = tuple[tuple[str, int, int], ...]  # path, size and time of every file


@dataclass(frozen=True)
class OwnKind:
    """A kind that a project has of its own: two files."""

    root: Path
    block: str
    name: str

    @property
    def schema(self) -> Path:
        return self.root / KINDS / self.block / f"{self.name}{SUFFIX}"

    @property
    def template(self) -> Path:
        return self.root / TEMPLATES / self.block / f"{self.name}{TEMPLATE_SUFFIX}"


@dataclass(frozen=True)
class Project:
    """Where the kinds of a family come from.

    Args:
        root: the folder with kinds of its own; None where there are none but ours.
        state: of the files in it. What is kept about a project is kept by this too.
    """

    root: Path | None = None
    state: State = ()

    @cached_property
    def schemas(self) -> Schemas:
        """Ours and its own; ours are found first."""
        if self.root is None:
            return built_in()
        return Schemas((*built_in().search, self.root / "schemas"), self.state)

    @cached_property
    def templates(self) -> tuple[Path, ...]:
        """Folders of templates; ours are found first."""
        own = () if self.root is None else (self.root / "templates",)
        return (resources.root() / "templates", *own)

    @cached_property
    def kinds(self) -> dict[tuple[str, str], OwnKind]:
        """Its own kinds, by block and name."""
        if self.root is None:
            return {}
        found = (
            OwnKind(self.root, block, path.name.removesuffix(SUFFIX))
            for block in BLOCKS
            for path in sorted((self.root / KINDS / block).glob(f"*{SUFFIX}"))
        )
        ours = {block: built_in().kinds(block) for block in BLOCKS}
        return {
            (kind.block, kind.name): kind
            for kind in found
            if kind.name not in ours[kind.block]
        }

    def used(self, kinds: Iterable[tuple[str, object]]) -> list[OwnKind]:
        """Which of blocks and the names of their kinds are its own."""
        known = [(block, name) for block, name in kinds if isinstance(name, str)]
        return [self.kinds[key] for key in known if key in self.kinds]


BUILT_IN = Project()
"""The kinds that ship, and no others."""


def project_of(file: str | os.PathLike[str], top: Path | None = None) -> Project:
    """The project that a file or folder belongs to.

    Args:
        file: need not be there.
        top: look no farther up than this folder.
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
    """One object for one state: what it found out about itself is kept."""
    return Project(root, state)


def _state(root: Path) -> Iterator[tuple[str, int, int]]:
    for path in own_files(root):
        about = path.stat()
        yield str(path), about.st_size, about.st_mtime_ns


def own_files(root: Path) -> list[Path]:
    """The files of a project's kinds: everything in the two folders, as sorted paths.

    Links that lead out of the folders are left out: nothing reads or copies them.
    """
    return [
        path for path in _entries(root) if path.is_file() and not _leads_out(root, path)
    ]


def links_out(root: Path) -> list[Path]:
    """Links by which a kind's files would be read from outside of the two folders."""
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

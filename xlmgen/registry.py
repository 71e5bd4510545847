"""Find families: folders with a `family.yaml`, on a search path of places."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xlmgen import resources
from xlmgen.errors import UserError

if TYPE_CHECKING:
    from xlmgen.runtime.family import Family

PINNED = "XLMGEN_PINNED"  # an environment variable, so that spawned workers inherit it
USER_PATH = "XLMGEN_PATH"
ENTRY_POINTS = "xlmgen.families"
PACKAGE = "xlmgen.families"
SPEC = "family.yaml"


@dataclass(frozen=True)
class Place:
    """A folder of family folders, and why it is searched."""

    folder: Path
    origin: str


@dataclass(frozen=True)
class Found:
    """A family and its location.

    Args:
        origin: the place, such as `./families` or `built in`.
        shadows: families of the same name in later places, which are not used.
    """

    name: str
    folder: Path
    origin: str
    shadows: tuple[Path, ...] = ()


def places(*, pinned: bool = True) -> list[Place]:
    """Return the folders that are searched for families, in order of precedence.

    Pinned folders, `./families`, the folders of `$XLMGEN_PATH`, those that installed
    packages declare, and the built-in families. Missing folders, and other names of the
    same folder, are omitted.

    Args:
        pinned: whether to include the pinned folders.
    """
    seen: set[Path] = set()
    kept = []
    for place in _places(pinned):
        real = place.folder.resolve()
        if real.is_dir() and real not in seen:
            seen.add(real)
            kept.append(Place(real, place.origin))
    return kept


def find_families(*, pinned: bool = True) -> list[Found]:
    """Find all families, sorted by name.

    Args:
        pinned: whether to include the copies of pinned runs.

    Raises:
        UserError: two folders of the same origin have a family of one name, so that
            neither is nearer.
    """
    found: dict[str, list[tuple[Path, str]]] = {}
    for place in places(pinned=pinned):
        for folder in _family_folders(place.folder):
            entries = found.setdefault(folder.name, [])
            if any(folder.samefile(entry) for entry, _ in entries):
                continue
            for other, origin in entries:
                if origin == place.origin:
                    raise UserError(
                        f"two families are named '{folder.name}' in {origin}: "
                        f"{other} and {folder}",
                        "rename one, or remove its folder from the path",
                    )
            entries.append((folder, place.origin))
    return [
        Found(name, *entries[0], tuple(folder for folder, _ in entries[1:]))
        for name, entries in sorted(found.items())
    ]


def find_family(name: str, *, pinned: bool = True) -> Found:
    """Find the family of this name. Arguments as for `find_families`.

    Raises:
        UserError: it does not exist; the message lists the existing families.
    """
    found = {family.name: family for family in find_families(pinned=pinned)}
    if name in found:
        return found[name]
    from xlmgen.spec.messages import did_you_mean, show

    known = ", ".join(found) or "none; write one with `xlmgen new FILE.yaml`"
    guess = did_you_mean(name, found)
    raise UserError(
        f"there is no family {show(name)}", f"{guess} known families: {known}".strip()
    )


def load_family(name: str) -> Family:
    """Import a family's package and return its `FAMILY`.

    Raises:
        UserError: there is no such family, its package was not rendered, or it imports
            what this version of the runtime does not have.
    """
    found = find_family(name)
    if not (found.folder / "__init__.py").is_file():
        raise UserError(
            f"the family '{name}' in {found.folder} is not rendered",
            f"run `xlmgen new {found.folder / SPEC} --out {found.folder.parent}`",
        )
    _refresh()
    try:
        module = importlib.import_module(f"{PACKAGE}.{name}")
    except ImportError as error:
        if not (error.name or "").startswith("xlmgen."):
            raise
        raise UserError(
            f"the family '{name}' in {found.folder} does not fit this version of "
            f"xlmgen: {error.msg}",
            "use the version that rendered it, or render it again with `xlmgen new "
            f"{found.folder / SPEC} --out {found.folder.parent}`",
        ) from error
    family: Family = module.FAMILY
    return family


def pin(folder: Path) -> None:
    """Give a folder of families precedence, in this process and in later subprocesses.

    Modules that were imported from other places are removed from `sys.modules`, so that
    the next import uses the pinned ones.
    """
    pinned = [str(folder.resolve()), *_from_environment(PINNED)]
    os.environ[PINNED] = os.pathsep.join(dict.fromkeys(pinned))
    for family in _family_folders(folder.resolve()):
        prefix = f"{PACKAGE}.{family.name}"
        for module in list(sys.modules):
            if module == prefix or module.startswith(f"{prefix}."):
                del sys.modules[module]
    _refresh()


def package_path() -> list[str]:
    """Return the `__path__` of the package `xlmgen.families`."""
    return [str(place.folder) for place in places()]


def _refresh() -> None:
    package = importlib.import_module(PACKAGE)
    package.__path__ = package_path()
    importlib.invalidate_caches()


def _places(pinned: bool) -> Iterator[Place]:
    for folder in _from_environment(PINNED) if pinned else ():
        yield Place(Path(folder), f"pinned {folder}")
    yield Place(Path("families"), "./families")
    for folder in _from_environment(USER_PATH):
        yield Place(Path(folder), f"${USER_PATH}")
    for package, path in _declared():
        yield Place(path, f"package {package}")
    yield Place(resources.root() / "families", "built in")


def _family_folders(folder: Path) -> list[Path]:
    """List the family folders in a folder, sorted by name."""
    if not folder.is_dir():
        return []
    specs = (spec for spec in folder.glob(f"*/{SPEC}") if spec.is_file())
    return sorted(s.parent for s in specs if not s.parent.name.startswith("."))


def _from_environment(variable: str) -> list[str]:
    return [entry for entry in os.environ.get(variable, "").split(os.pathsep) if entry]


def _declared() -> Iterator[tuple[str, Path]]:
    """Find the folders that installed packages declare, without importing them."""
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=ENTRY_POINTS)):
        package, *inner = entry.module.split(".")
        spec = importlib.util.find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            yield package, Path(location, *inner)

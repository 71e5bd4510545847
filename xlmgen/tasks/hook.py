"""A user's own function that a task's YAML names: found, imported, called.

Whatever goes wrong in it is said in one line: where the YAML names it, where in the
user's own code it happened, and what.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.spec.hooks import find_module, function_name, module_file
from xlmgen.spec.messages import did_you_mean
from xlmgen.spec.own_kinds import shown

_imported: dict[str, tuple[Path, str]] = {}
"""The packages that were imported here: whose project's, and the digest of the code."""

_roots: list[str] = []
"""The projects that are on Python's path because of that, the latest first."""


@dataclass(frozen=True)
class Hook:
    """A `python:` of a task.

    Args:
        target: `package.module:function`.
        place: where the YAML names it, such as `sorting.yaml:7: source.python`.
        folder: of the YAML, from which the module is looked for.
    """

    target: str
    place: str
    folder: Path

    @property
    def name(self) -> str:
        """The function's name."""
        return function_name(self.target)

    @cached_property
    def files(self) -> list[Path]:
        """The modules that may decide what the function does: all of its package.

        Of a module that is in no package, itself.
        """
        place = self._top
        return sorted(place.rglob("*.py")) if place.is_dir() else [place]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text of `files`, by their names.

        Raises:
            UserError: there is no such module.
        """
        found = hashlib.sha256()
        for file in self.files:
            name = file.relative_to(self._found[0]).as_posix()
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(f"{name} {content}\n".encode())
        return found.hexdigest()

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function, imported now; an edit of it does not reach into a training.

        Raises:
            UserError: there is none, or importing it fails.
        """
        module = self._import()
        function = getattr(module, self.name, None)
        if not callable(function):
            known = [name for name, value in vars(module).items() if callable(value)]
            message = f"{shown(self._found[1])} has no function '{self.name}'"
            raise self.error(message, did_you_mean(self.name, known))
        found: Callable[..., Any] = function
        return found

    def call(self, *args: Any, **settings: Any) -> Any:
        """What the function gives.

        Raises:
            UserError: it is not there, or it raised something.
        """
        function = self.function
        try:
            return function(*args, **settings)
        except (Exception, SystemExit) as error:
            raise self._raised(error, function) from error

    def error(self, message: str, fix: str = "") -> UserError:
        """An error with the place in the YAML."""
        return UserError(f"{self.place}: {message}", fix)

    @property
    def _package(self) -> str:
        return self.target.partition(":")[0].partition(".")[0]

    @property
    def _top(self) -> Path:
        """The folder of the package, or the file of a module that is in none."""
        root, file = self._found
        return file if file.parent == root else root / self._package

    @cached_property
    def _found(self) -> tuple[Path, Path]:
        found = find_module(self.target, self.folder)
        if found is None:
            raise self.error(
                f"there is no module {module_file(self.target)} beside this file, in "
                "a folder above it or in the current folder",
                "a task or run has only the names of functions: the code must be here",
            )
        return found

    def _import(self) -> Any:
        root = self._found[0]
        state = (root, self.digest)
        earlier = _imported.get(self._package, state)
        if earlier != state:  # edited since, or of another project
            for name in [*sys.modules]:
                if name.partition(".")[0] == self._package:
                    del sys.modules[name]
        _look_in(str(root))
        importlib.invalidate_caches()
        if os.path.realpath(other := _place(self._package)) != os.path.realpath(
            self._top
        ):
            raise self.error(
                f"{self._package} is the name of another module, too: {other}",
                f"rename {shown(self._top)}",
            )
        _imported[self._package] = state
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:  # bytecode is taken for current after an edit within the same second
            return importlib.import_module(self.target.partition(":")[0])
        except (Exception, SystemExit) as error:
            raise self._raised(error) from error
        finally:
            sys.dont_write_bytecode = before

    def _raised(
        self, error: BaseException, function: Callable[..., Any] | None = None
    ) -> UserError:
        where = self._where(error, function)
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        said = " ".join(said.split())
        return self.error(f"{where}: {type(error).__name__}{f': {said}' * bool(said)}")

    def _where(self, error: BaseException, function: Callable[..., Any] | None) -> str:
        """The last line of the user's own code that was at work."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{shown(Path(error.filename))}:{error.lineno}"
        files = {os.path.realpath(file) for file in self.files}
        for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
            path = os.path.realpath(frame.f_code.co_filename)
            if path in files:
                return f"{shown(Path(path))}:{line}"
        code = getattr(function, "__code__", None)  # it could not even be called
        first = f":{code.co_firstlineno}" if code else ""
        return f"{shown(self._found[1])}{first}"


def _look_in(root: str) -> None:
    """Let modules be found in a project, and there before those of other projects.

    Behind all else: a file of the project takes no other package's place.
    """
    if root in sys.path and root not in _roots:
        return
    sys.path[:] = [entry for entry in sys.path if entry not in _roots]
    _roots[:] = [root, *(other for other in _roots if other != root)]
    sys.path += _roots


def _place(package: str) -> str:
    """Where Python would import a package from, or has: a folder, or a file."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # such as __main__
        spec = None
    if spec is None:
        return "one of Python itself"
    return next(iter(spec.submodule_search_locations or ()), spec.origin or "")

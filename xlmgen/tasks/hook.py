"""A user's own function that a task's YAML names: search, import and call.

An error in it is reported in one line: the place in the YAML, the line in the user's
code, and the exception.
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
"""Project folder and code digest of every package imported here."""

_roots: list[str] = []
"""Project folders that this module added to `sys.path`, the latest first."""


@dataclass(frozen=True)
class Hook:
    """A `python:` of a task.

    Args:
        target: `package.module:function`.
        place: location in the YAML, such as `sorting.yaml:7: source.python`.
        folder: of the YAML, where the search for the module starts.
    """

    target: str
    place: str
    folder: Path

    @property
    def name(self) -> str:
        """Name of the function."""
        return function_name(self.target)

    @cached_property
    def files(self) -> list[Path]:
        """All modules of the function's package, or its module if it has no package.

        The function's results may depend on any of them.
        """
        top = self._top
        return sorted(top.rglob("*.py")) if top.is_dir() else [top]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names and contents of `files`.

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
        """Import the function, once: later edits do not change a running training.

        Raises:
            UserError: it does not exist, or its import fails.
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
        """Call the function and return its result.

        Raises:
            UserError: it does not exist, or it raised an exception.
        """
        function = self.function
        try:
            return function(*args, **settings)
        except (Exception, SystemExit) as error:
            raise self._raised(error, function) from error

    def error(self, message: str, fix: str = "") -> UserError:
        """An error with the location in the YAML."""
        return UserError(f"{self.place}: {message}", fix)

    @property
    def _package(self) -> str:
        return self.target.partition(":")[0].partition(".")[0]

    @property
    def _top(self) -> Path:
        """Folder of the package, or the file of a module without one."""
        root, file = self._found
        return file if file.parent == root else root / self._package

    @cached_property
    def _found(self) -> tuple[Path, Path]:
        found = find_module(self.target, self.folder)
        if found is None:
            raise self.error(
                f"there is no module {module_file(self.target)} next to this file, in "
                "a folder above it or in the current folder",
                "tasks and runs have only the names of functions: put the code there",
            )
        return found

    def _import(self) -> Any:
        root = self._found[0]
        state = (root, self.digest)
        earlier = _imported.get(self._package, state)
        if earlier != state:  # edited since then, or from another project
            for name in [*sys.modules]:
                if name.partition(".")[0] == self._package:
                    del sys.modules[name]
        _add_to_path(str(root))
        importlib.invalidate_caches()
        if os.path.realpath(other := _origin(self._package)) != os.path.realpath(
            self._top
        ):
            raise self.error(
                f"{self._package} is also the name of another module: {other}",
                f"rename {shown(self._top)}",
            )
        _imported[self._package] = state
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:  # after an edit within the same second, old bytecode would pass as current
            return importlib.import_module(self.target.partition(":")[0])
        except (Exception, SystemExit) as error:
            raise self._raised(error) from error
        finally:
            sys.dont_write_bytecode = before

    def _raised(
        self, error: BaseException, function: Callable[..., Any] | None = None
    ) -> UserError:
        where = self._where(error, function)
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        reason = " ".join(reason.split())
        kind = type(error).__name__
        return self.error(f"{where}: {kind}{f': {reason}' * bool(reason)}")

    def _where(self, error: BaseException, function: Callable[..., Any] | None) -> str:
        """Innermost line of the user's own code in a traceback."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{shown(Path(error.filename))}:{error.lineno}"
        files = {os.path.realpath(file) for file in self.files}
        for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
            path = os.path.realpath(frame.f_code.co_filename)
            if path in files:
                return f"{shown(Path(path))}:{line}"
        code = getattr(function, "__code__", None)  # the call itself failed
        first = f":{code.co_firstlineno}" if code else ""
        return f"{shown(self._found[1])}{first}"


def _add_to_path(root: str) -> None:
    """Append a project to `sys.path`, ahead of other projects.

    At the end of the path, a project's file cannot shadow an installed package.
    """
    if root in sys.path and root not in _roots:
        return
    sys.path[:] = [entry for entry in sys.path if entry not in _roots]
    _roots[:] = [root, *(other for other in _roots if other != root)]
    sys.path += _roots


def _origin(package: str) -> str:
    """Folder or file from which Python imports a package."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # such as __main__
        spec = None
    if spec is None:
        return "a built-in module"
    return next(iter(spec.submodule_search_locations or ()), spec.origin or "")

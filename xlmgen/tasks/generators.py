"""Modules of generators: `xlmgen/tasks/<name>.py`.

Such a module has `records(source)`, which returns every split as texts (split → column
→ one text per row), and a function for each metric that its schema lists. The function
has the metric's name, takes one `Answered`, or a non-empty list of all of them where
the metric is `whole`, and returns a number from 0 to 1.
"""

import importlib
from types import ModuleType
from typing import Any

from xlmgen.spec.generators import shape

PACKAGE = "xlmgen.tasks"


def module(name: str) -> ModuleType:
    """Import the module of a generator."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def modules(name: str) -> list[ModuleType]:
    """All modules that the rows of a generator depend on.

    These are its own module, that of its settings, and the modules of this package that
    they import, directly or indirectly, as modules.
    """
    settings: Any = shape(name)
    found: list[ModuleType] = [module(name), settings]
    for one in found:
        for value in vars(one).values():
            if isinstance(value, ModuleType) and value.__name__.startswith(PACKAGE):
                found += [] if value in found else [value]
    return found

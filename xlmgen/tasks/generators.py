"""The modules that generate examples: `xlmgen/tasks/<name>.py`, by their names.

Such a module has `records(source)`, which gives every split as texts (split → column →
one text per row), and a function for each metric that its schema lists, of the metric's
name: of one `Answered`, or of all of them where it is `whole`, of which there is one at
least. It gives a number from 0 to 1.
"""

import importlib
from types import ModuleType
from typing import Any

from xlmgen.spec.generators import shape

PACKAGE = "xlmgen.tasks"


def module(name: str) -> ModuleType:
    """The module of a generator that has a schema."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def modules(name: str) -> list[ModuleType]:
    """All modules that decide what a generator makes: its own, and what it is built on.

    These are that of its settings, and those of this package that it, or one of them,
    imports as modules.
    """
    settings: Any = shape(name)
    found: list[ModuleType] = [module(name), settings]
    for one in found:
        for value in vars(one).values():
            if isinstance(value, ModuleType) and value.__name__.startswith(PACKAGE):
                found += [] if value in found else [value]
    return found

"""Overrides of an experiment on the command line: `key.path=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from xlmgen.errors import UserError
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import show

KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Override:
    """An override from the command line.

    Args:
        text: as typed.
        path: keys that lead to the value.
        value: plain data.
    """

    text: str
    path: KeyPath
    value: Any

    def holds(self, path: KeyPath) -> bool:
        """Whether the value has something at this path; true for an empty path."""
        inner = self.value
        for key in path:
            if not isinstance(inner, dict) or key not in inner:
                return False
            inner = inner[key]
        return True


def parse_override(text: str) -> Override:
    """Parse `key.path=value`; the value is YAML 1.2, with flow lists and mappings.

    Raises:
        UserError: the text has no `=`, no key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    path = tuple(key.strip().split("."))
    if not equals or not all(path):
        raise UserError(
            f"{show(text)} is not an override",
            "write key.path=value, for example training.max_steps=500",
        )
    document = load_yaml("command line", f"value: {value}")
    if document.problems or document.data is None or set(document.data) != {"value"}:
        reason = document.problems[0].message if document.problems else "not one value"
        raise UserError(
            f"{show(text)}: the value cannot be read: {reason}",
            "put strings with special characters in quotes",
        )
    return Override(text, path, document.data["value"])


def apply_overrides(
    data: Mapping[str, Any], overrides: Iterable[Override]
) -> dict[str, Any]:
    """Copy the data and apply the overrides in order."""
    result = deepcopy(dict(data))
    for override in overrides:
        place = result
        for key in override.path[:-1]:
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        place[override.path[-1]] = deepcopy(override.value)
    return result

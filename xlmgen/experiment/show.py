"""Format a resolved experiment as YAML, with the origin of each value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from xlmgen.experiment.settings import Experiment
from xlmgen.terminal.escape import terminal

COMMENT_COLUMN = 40


def to_yaml(experiment: Experiment, *, origins: bool = True) -> str:
    """Format the experiment as YAML that resolves to itself.

    Args:
        origins: whether to add a comment with the origin of each value.
    """
    lines = _lines(experiment.data, experiment.origins if origins else {}, "", "")
    return "".join(f"{line}\n" for line in lines)


def _lines(
    data: Mapping[str, Any], origins: Mapping[str, str], prefix: str, indent: str
) -> Iterator[str]:
    for key, value in data.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, origins, f"{path}.", f"{indent}  ")
            continue
        line = f"{indent}{key}: {_flow(value)}"
        origin = origins.get(path)
        yield f"{line:<{COMMENT_COLUMN}}  # {terminal(origin)}" if origin else line


def _flow(value: Any) -> str:
    """Format a value on one line of YAML."""
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=float("inf"), allow_unicode=True
    )
    text = text.removesuffix("\n").removesuffix("\n...")
    if terminal(text) == text:
        return text
    # JSON is YAML, and the terminal escapes in its strings are valid in both.
    return terminal(json.dumps(value, ensure_ascii=False))

"""Stop strings of a task of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def stop_strings(options: Mapping[str, Any]) -> list[str]:
    """Stop strings of a task's `generation_kwargs`: a text, a list, or none."""
    until = options.get("until") or []
    return [until] if isinstance(until, str) else [text for text in until if text]


def cut_at_stop(text: str, stops: Sequence[str]) -> str:
    """Text before the first stop string in it, which may be at its beginning."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found, default=len(text))]

"""Writing files so that one that exists is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write indented JSON with its keys in the given order."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")

"""Migrations of specs from one format version to the next.

A migration changes the data of a file in place: a ruamel.yaml `CommentedMap`, whose
comments belong to its keys. It leaves unexpected values alone, which `check` reports
afterwards, and does not need to set the `spec:` line.

There is one version so far, and so no migration yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# (family, task or experiment; version) → the migration to the version after it
MIGRATIONS: dict[tuple[str, int], Callable[[Any], None]] = {}

"""How a spec of one version of its format becomes one of the next.

A migration changes the data of a file in place: a ruamel.yaml `CommentedMap`, whose
comments go with its keys. It leaves alone what is not as it expects, which `check`
tells of afterwards, and need not set the `spec:` line.

The first version is the only one so far, so that there is no migration yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# (family, task or experiment; version) → the migration to the version after it
MIGRATIONS: dict[tuple[str, int], Callable[[Any], None]] = {}

"""`family.lock`: the last render of a family.

It has the compressed text of every rendered file. This distinguishes edited files from
stale ones, and is the base for merging edits with a later render.
"""

from __future__ import annotations

import base64
import bz2
import hashlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from xlmgen.version import __version__

FORMAT = "xlmgen/lock/v1"
MAX_TEXT = 20_000_000  # maximum characters of pristine text


class LockError(ValueError):
    """Raised for a `family.lock` that is damaged or was not written by xlmgen."""


@dataclass(frozen=True)
class Lock:
    """Content of a family's last render.

    Args:
        xlmgen: version that rendered it.
        spec: SHA-256 of the spec's text.
        pristine: text of every rendered file, by path, without the lock.
    """

    xlmgen: str
    spec: str
    pristine: Mapping[str, str]


def lock_text(source: str, files: Mapping[str, str]) -> str:
    """Format the lock of a render.

    Args:
        source: text of the spec.
        files: all other files."""
    content = json.dumps(dict(sorted(files.items())), ensure_ascii=False)
    packed = base64.b64encode(bz2.compress(content.encode(), 9)).decode()
    lock = {
        "lock": FORMAT,
        "xlmgen": __version__,
        "spec": _sha256(source),
        "files": {path: _sha256(text) for path, text in sorted(files.items())},
        "pristine": textwrap.wrap(packed, 76),
    }
    return json.dumps(lock, indent=2) + "\n"


@lru_cache(maxsize=1)  # called twice in a row for a family
def parse_lock(text: str) -> Lock:
    """Parse the text of a lock.

    Raises:
        LockError: it is invalid, its hashes do not match, or a path leads out of the
            family's folder.
    """
    try:
        data = json.loads(text)
        if data["lock"] != FORMAT:
            raise LockError(f"its format is {data['lock']!r}, not {FORMAT!r}")
        packed = base64.b64decode("".join(data["pristine"]), validate=True)
        unpacker = bz2.BZ2Decompressor()
        content = unpacker.decompress(packed, MAX_TEXT)
        if not unpacker.eof:
            raise LockError("its pristine text is truncated or too long")
        pristine = json.loads(content.decode())
        hashes = {path: _sha256(text) for path, text in pristine.items()}
        if hashes != data["files"]:
            raise LockError("its hashes do not match its pristine text")
        lock = Lock(str(data["xlmgen"]), str(data["spec"]), pristine)
    except LockError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise LockError("it is not a lock that xlmgen wrote") from error
    except RecursionError as error:
        raise LockError("it is nested too deeply") from error
    for path in lock.pristine:
        if not is_inside(path):
            raise LockError(f"it names {path!r}, which is not in the family's folder")
    return lock


def is_inside(path: str) -> bool:
    """Whether a relative POSIX path stays in its folder on every system."""
    pure = PurePosixPath(path)
    return bool(
        pure.parts
        and not pure.is_absolute()
        and ".." not in pure.parts
        and not set(path) & set("\\:\0")
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

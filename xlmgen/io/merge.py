"""Merge texts three ways by `git merge-file`, and find its conflict markers.

Users know the markers from git, which is installed wherever code is versioned. The
licence of the library `merge3` (GPL) is not compatible with xlmgen's.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xlmgen.errors import UserError

if TYPE_CHECKING:
    from subprocess import CompletedProcess

YOURS, BEFORE, NOW = "yours", "rendered before", "rendered now"
MOST = 127  # git's exit code counts conflicts up to this; higher codes are errors
OPENING = re.compile(r"^<{7} ", re.MULTILINE)
CLOSING = re.compile(r"^>{7} ", re.MULTILINE)


@dataclass(frozen=True)
class Merged:
    """A merged text and whether it has conflict markers."""

    text: str
    conflict: bool


def merge(base: str, yours: str, now: str, *, prefer_now: bool = False) -> Merged:
    """Merge the changes from `base` to `yours` and from `base` to `now`.

    If both change the same lines, both versions are kept between conflict markers, or
    with `prefer_now` only that of `now`. A text whose lines all end in CRLF keeps them.

    Raises:
        UserError: git is not installed, or considers a text binary.
    """
    if yours in (base, now):
        return Merged(now, False)
    crlf = is_crlf(yours)
    texts = [_lf(yours) if crlf else yours, base, now]
    done = _git(texts, "--theirs" if prefer_now else "--diff3")
    if done.returncode > MOST:
        reason = done.stderr.decode(errors="replace").strip()
        fix = "merge text files only"
        raise UserError(f"git cannot merge: {reason}", fix, exit_code=1)
    text = done.stdout.decode()
    return Merged(text.replace("\n", "\r\n") if crlf else text, done.returncode > 0)


def marked_lines(text: str) -> list[int]:
    """Return the lines, from 1, where conflicts begin; without any, where they end."""
    found = list(OPENING.finditer(text)) or CLOSING.finditer(text)
    return [text.count("\n", 0, marker.start()) + 1 for marker in found]


def _git(texts: list[str], style: str) -> CompletedProcess[bytes]:
    """Run git on temporary files, independent of repositories and settings."""
    import subprocess
    import tempfile

    labels = [word for label in (YOURS, BEFORE, NOW) for word in ("-L", label)]
    with tempfile.TemporaryDirectory(prefix="xlmgen-merge-") as name:
        folder = Path(name)
        for file, text in zip("abc", texts, strict=True):
            (folder / file).write_bytes(text.encode())
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        alone = {
            "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        command = ["git", "merge-file", "-p", style, *labels, *"abc"]
        try:
            return subprocess.run(
                command, cwd=folder, env=kept | alone, capture_output=True, check=False
            )
        except FileNotFoundError as error:
            raise UserError("merging needs git", "install it") from error


def is_crlf(text: str) -> bool:
    """Whether all lines of a text end in CRLF."""
    return "\r\n" in text and "\n" not in text.replace("\r\n", "")


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")

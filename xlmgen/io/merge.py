"""Three-way merging of texts, by `git merge-file`, and its conflict markers.

Git is where its users know the markers from and is installed where code is kept; the
library `merge3` has a licence (GPL) that xlmgen's does not go with.
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
MOST = 127  # conflicts that git counts; a higher exit code is an error
OPENING = re.compile(r"^<{7} ", re.MULTILINE)
CLOSING = re.compile(r"^>{7} ", re.MULTILINE)


@dataclass(frozen=True)
class Merged:
    """A merged text, and whether conflicts are marked in it."""

    text: str
    conflict: bool


def merge(base: str, yours: str, now: str, *, prefer_now: bool = False) -> Merged:
    """The changes from `base` to `yours` and those from `base` to `now`, together.

    Where both change the same lines, both stay, between markers; with `prefer_now`
    those of `now`. A text whose lines all end in CRLF keeps them.

    Raises:
        UserError: git is not there, or says that a text is binary.
    """
    if yours in (base, now):
        return Merged(now, False)
    crlf = is_crlf(yours)
    texts = [_lf(yours) if crlf else yours, base, now]
    done = _git(texts, "--theirs" if prefer_now else "--diff3")
    if done.returncode > MOST:
        reason = done.stderr.decode(errors="replace").strip()
        raise UserError(f"git cannot merge: {reason}", "is it a text?", exit_code=1)
    text = done.stdout.decode()
    return Merged(text.replace("\n", "\r\n") if crlf else text, done.returncode > 0)


def marked_lines(text: str) -> list[int]:
    """The lines, from 1, where marked conflicts begin; if none does, where they end."""
    found = list(OPENING.finditer(text)) or CLOSING.finditer(text)
    return [text.count("\n", 0, marker.start()) + 1 for marker in found]


def _git(texts: list[str], style: str) -> CompletedProcess[bytes]:
    """Run git on files of its own, where no repository and no setting can reach it."""
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
    """Whether all lines of a text end as on Windows."""
    return "\r\n" in text and "\n" not in text.replace("\r\n", "")


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")

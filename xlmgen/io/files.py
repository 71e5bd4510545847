"""Read regular files, and write files atomically."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Disk full, quota exceeded, or file too large."""


VIRTUAL = tuple(Path(root) for root in ("/proc", "/sys"))
"""Folders with virtual files, some of which are endless."""


def is_plain(path: Path) -> bool:
    """Whether a path is a regular file on a disk, or a link to one.

    Reading devices, pipes, sockets or files of `/proc` may block forever.
    """
    real = real_path(path)
    return real.is_file() and not any(real.is_relative_to(top) for top in VIRTUAL)


def require_plain(path: Path, fix: str) -> None:
    """Refuse an existing path that is not a regular file.

    Raises:
        UserError: it is a device, a pipe, a folder or a virtual file.
    """
    if path.exists() and not is_plain(path):
        raise UserError(f"{path} is not a regular file", fix)


def require_new(out: Path) -> None:
    """Refuse an existing file for `--out` before any work is done.

    Raises:
        UserError: it exists, or a file has the path of its folder.
    """
    if os.path.lexists(out):
        raise UserError(
            f"{out} already exists", "give another file with --out, or remove it"
        )
    require_folder(out.absolute().parent)


def require_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to before any work is done.

    Raises:
        UserError: the path or a parent is a file, or there is no permission to write.
    """
    found = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not found.is_dir():
        raise UserError(f"{found} is a file, not a folder", "give another path")
    if not os.access(found, os.W_OK):
        raise UserError(f"cannot write to {found}", "give another path")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Add the path to errors of the system that occur while it is written."""
    try:
        yield
    except OSError as error:
        error.filename = os.fspath(path)
        raise


def no_room(error: BaseException | None) -> OSError | None:
    """Find the cause of an error that is a full disk or quota, if any."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error
        error = error.__cause__ or error.__context__
    return None


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name and rename it; keep its permissions."""
    _replace(path, text, None)


def rewrite_text(path: Path, old: str, new: str) -> None:
    """Replace the text of a file as `write_text` does; follow links.

    Raises:
        UserError: its text is no longer `old` (exit code 1), or it cannot be written.
    """
    try:
        _replace(real_path(path), new, old)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "it was not changed"
        ) from error


def real_path(path: Path) -> Path:
    """Resolve a path; unlike `Path.resolve`, a cycle of links is no error."""
    return Path(os.path.realpath(path))


def without_parents(path: Path) -> Path:
    """Remove `..` from a path, unless links in it would change its target."""
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write data as JSON (see `json_text`), atomically."""
    write_text(path, json_text(data) + "\n")


def visible(folder: Path, pattern: str = "*") -> list[Path]:
    """List a folder's files that match a pattern, sorted, without hidden files.

    Systems add hidden files beside others, such as `._model.safetensors`.
    """
    return sorted(p for p in folder.glob(pattern) if not p.name.startswith("."))


def begin(folder: Path, path: str) -> tuple[Path, str]:
    """Split a path in a YAML file into its start folder and the rest.

    Args:
        folder: start of relative paths; those with `~/` start in the home folder.
        path: as written.
    """
    if path == "~" or path.startswith("~/"):
        return Path(os.path.expanduser("~")), path[2:]
    return folder, path


def located(folder: Path, path: str) -> Path:
    """Resolve a path in a YAML file, without `..`; arguments as for `begin`."""
    return without_parents(Path(*begin(folder, path)))


def json_text(data: Mapping[str, Any]) -> str:
    """Format indented JSON, keys in the given order, NaN and ∞ as null."""
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False)


def _replace(path: Path, text: str, expected: str | None) -> None:
    """Write under a temporary name and rename, if the file has the expected text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A random name, so that no existing file or link is written to.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with (
            writing(path),
            temporary.open("x", encoding="utf-8", newline="") as file,
        ):
            file.write(text)
        if path.exists():
            shutil.copymode(path, temporary)
        if expected is not None and path.read_bytes() != expected.encode():
            raise UserError(
                f"{path} was changed by another program; it was not written",
                "run the command again",
                exit_code=1,
            )
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

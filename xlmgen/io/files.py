"""Writing files so that one that exists is whole."""

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
"""A full disk, a used-up quota, a file as large as the system allows."""


VIRTUAL = tuple(Path(root) for root in ("/proc", "/sys"))
"""Folders whose files the system makes while they are read, some without an end."""


def is_plain(path: Path) -> bool:
    """Whether reading a path ends: a regular file on a disk, or a link to one.

    Devices, pipes and sockets may wait for ever, and so may files of `/proc`.
    """
    real = real_path(path)
    return real.is_file() and not any(real.is_relative_to(top) for top in VIRTUAL)


def require_plain(path: Path, fix: str) -> None:
    """Refuse a path that is there and whose reading may never end.

    Raises:
        UserError: it is a device, a pipe, a folder or a file of the system's.
    """
    if path.exists() and not is_plain(path):
        raise UserError(f"{path} is not a regular file", fix)


def require_new(out: Path) -> None:
    """Refuse a file of `--out` that is there, before any work is done for it.

    Raises:
        UserError: it is, or a file is where its folder would be.
    """
    if os.path.lexists(out):
        raise UserError(
            f"{out} is there already", "give another file with --out, or remove it"
        )
    require_folder(out.absolute().parent)


def require_folder(folder: Path) -> None:
    """Refuse a folder that nothing can be written to, before any work is done for it.

    Raises:
        UserError: a file is in its place or on the way, or it is not ours to write to.
    """
    found = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not found.is_dir():
        raise UserError(f"{found} is a file, not a folder", "give another path")
    if not os.access(found, os.W_OK):
        raise UserError(f"cannot write to {found}", "give another path")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let an error of the system name what was to be written."""
    try:
        yield
    except OSError as error:
        error.filename = os.fspath(path)
        raise


def no_room(error: BaseException | None) -> OSError | None:
    """The error behind an error that says that there was no room to write."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return error
        error = error.__cause__ or error.__context__
    return None


def write_text(path: Path, text: str) -> None:
    """Write a file beside its place and rename it there; its rights stay."""
    _replace(path, text, None)


def rewrite_text(path: Path, old: str, new: str) -> None:
    """Replace the text of a file that was read, as `write_text` does; follow links.

    Raises:
        UserError: it no longer holds the old text (exit code 1), or cannot be written.
    """
    try:
        _replace(real_path(path), new, old)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "it is as it was"
        ) from error


def real_path(path: Path) -> Path:
    """Where a path leads; unlike `Path.resolve`, a circle of links is no error."""
    return Path(os.path.realpath(path))


def without_parents(path: Path) -> Path:
    """A path without `..`, unless links on its way would make it another place."""
    plain = Path(os.path.normpath(path))
    return plain if os.path.realpath(plain) == os.path.realpath(path) else path


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write what `json_text` makes of the data, a whole new file or none."""
    write_text(path, json_text(data) + "\n")


def visible(folder: Path, pattern: str = "*") -> list[Path]:
    """What a folder has of a pattern, in order, but for hidden files.

    Systems and tools put files of theirs beside others, such as `._model.safetensors`.
    """
    return sorted(p for p in folder.glob(pattern) if not p.name.startswith("."))


def begin(folder: Path, path: str) -> tuple[Path, str]:
    """Where a path of a YAML file begins, and the rest of it.

    Args:
        folder: where a relative one begins; one with `~/` begins in the home folder.
        path: as it is written.
    """
    if path == "~" or path.startswith("~/"):
        return Path(os.path.expanduser("~")), path[2:]
    return folder, path


def located(folder: Path, path: str) -> Path:
    """The place of a path of a YAML file, without `..`; arguments as for `begin`."""
    return without_parents(Path(*begin(folder, path)))


def json_text(data: Mapping[str, Any]) -> str:
    """Indented JSON with its keys in the given order; NaN and ∞ as null."""
    return json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False)


def _replace(path: Path, text: str, expected: str | None) -> None:
    """Write beside a file and rename, where it holds what is expected of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that nobody has: a file or link that is there is not ours to write to.
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
                f"{path} was changed meanwhile; it was not written",
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

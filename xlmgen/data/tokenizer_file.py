"""A saved tokenizer that somebody else may have written, read within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tokenizers

from xlmgen.errors import UserError

LARGEST_FILE = 500_000_000  # bytes
MOST_IDS = 1 << 22
"""Ids are below it: the library writes out every id that no token has."""


def read_backend(path: Path, fix: str) -> tokenizers.Tokenizer:
    """The library's tokenizer in a `tokenizer.json`.

    Args:
        fix: what to do about one that is missing or damaged.

    Raises:
        UserError: there is no such file, it is not a tokenizer, or it has an id that no
            vocabulary needs.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(
            f"cannot read the tokenizer {path}: {error.strerror}", fix
        ) from error
    if len(content) > LARGEST_FILE:
        raise UserError(f"{path} has more than {LARGEST_FILE:,} bytes", fix)
    with library_errors(f"{path} is not a saved tokenizer", fix):
        backend = tokenizers.Tokenizer.from_buffer(content)
    check_ids(backend, path, fix)
    return backend


def check_ids(backend: tokenizers.Tokenizer, path: Path, fix: str) -> None:
    """Refuse an id that would make a table of all ids larger than any network's.

    Raises:
        UserError: names the token.
    """
    vocabulary = backend.get_vocab(with_added_tokens=True)
    token, id_ = max(vocabulary.items(), key=lambda pair: pair[1], default=("", 0))
    if id_ >= MOST_IDS:
        raise UserError(
            f"{path}: the token {token[:40]!r} has the id {id_}, and ids are below "
            f"{MOST_IDS:,}",
            fix,
        )


@contextmanager
def library_errors(place: str, fix: str) -> Iterator[None]:
    """Turn what the library raises into a `UserError`; a panic is no `Exception`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises nothing more specific
        raise UserError(f"{place}: {str(error)[:200]}", fix) from error

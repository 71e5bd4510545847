"""Bounded reading of a saved tokenizer from an untrusted source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tokenizers

from xlmgen.errors import UserError

LARGEST_FILE = 500_000_000  # bytes
MOST_IDS = 1 << 22
"""Exclusive bound of ids: the library allocates every unused id below the largest."""


def read_backend(path: Path, fix: str) -> tokenizers.Tokenizer:
    """Read the library's tokenizer from a `tokenizer.json`.

    Args:
        fix: advice for a missing or damaged file.

    Raises:
        UserError: there is no such file, it is not a tokenizer, or it has an id of
            `MOST_IDS` or more.
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
    """Refuse an id that would need a larger embedding than any network has.

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
    """Translate errors of the library to `UserError`.

    A panic of the library is a `BaseException`, not an `Exception`.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises nothing more specific
        raise UserError(f"{place}: {str(error)[:200]}", fix) from error

"""Read JSON from untrusted sources.

Numbers must be finite, nesting shallow, text valid Unicode and types as expected;
errors are one line that names the file.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError, shortened
from xlmgen.io.files import require_plain

Schema = Mapping[str, Any]
LARGEST_FILE = 100_000_000
"""Maximum bytes of a file; also the limit of a safetensors header."""
DEEPEST = 64
"""Maximum nesting of lists and objects."""
LARGEST_INTEGER = int(sys.float_info.max)
"""Larger ones do not fit a float. transformers writes 10**30 for no limit."""
LONGEST_MESSAGE = 160
"""Maximum characters of a schema error, which may quote the value."""


class InvalidJson(ValueError):
    """Text that is not JSON within the limits; the message follows a file name."""


def parse_json(text: str | bytes) -> Any:
    """Parse JSON of limited depth with finite numbers and valid Unicode.

    Raises:
        InvalidJson: it is not.
    """
    try:
        value = json.loads(text.decode() if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        raise InvalidJson("is not valid UTF-8") from error
    except json.JSONDecodeError as error:
        what = "is not JSON" if text.strip() else "is empty"
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidJson(f"{what} ({where}: {error.msg})") from error
    except ValueError as error:  # an integer with thousands of digits
        raise InvalidJson("holds a number that is too large") from error
    except RecursionError as error:
        raise InvalidJson("is nested too deeply") from error
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [inner for outer in level for inner in _contents(outer)]
        if not level:
            return value
    raise InvalidJson(f"is nested more than {DEEPEST} levels deep")


def parse_object(
    text: str | bytes, place: str, fix: str, schema: Schema | None = None
) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        place: the name of the file, for the error.
        fix: what to do about a damaged file.
        schema: JSON Schema of the object; `2.0` is not an integer.

    Raises:
        UserError: it is not a valid object.
    """
    try:
        value = parse_json(text)
    except InvalidJson as error:
        raise UserError(f"{place} {error}", fix) from error
    if not isinstance(value, dict):
        raise UserError(f"{place} does not hold a JSON object", fix)
    if schema is not None:
        check_object(value, place, fix, schema)
    return value


def check_object(
    value: Mapping[str, Any], place: str, fix: str, schema: Schema
) -> None:
    """Validate an object against a schema; see `parse_object`.

    Raises:
        UserError: it is invalid; the message names the first invalid key.
    """
    from xlmgen.io.json_schema import validator

    for error in validator(dict(schema)).iter_errors(value):
        key = ".".join(map(str, error.absolute_path))
        said = f"{key}: {error.message}" if key else error.message
        raise UserError(f"{place} is damaged: {shortened(said, LONGEST_MESSAGE)}", fix)


def read_object(path: Path, fix: str, schema: Schema | None = None) -> dict[str, Any]:
    """Read a JSON object from a file; see `parse_object`.

    Raises:
        UserError: the file is missing, not a regular file, too large, or not a valid
            object.
    """
    try:
        require_plain(path, fix)
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", fix) from error
    if len(text) > LARGEST_FILE:
        raise UserError(f"{path} has more than {LARGEST_FILE:,} bytes", fix)
    return parse_object(text, str(path), fix, schema)


def _contents(value: Any) -> Iterable[Any]:
    """Return the values in a list or object; check numbers and texts."""
    match value:
        case dict():
            return (*value.keys(), *value.values())
        case list():
            return value
        case float() if not math.isfinite(value):
            raise InvalidJson("holds a number that is not finite")
        case int() if abs(value) > LARGEST_INTEGER:
            raise InvalidJson("holds a number that is too large")
        case str() if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise InvalidJson("holds half of a surrogate pair") from error
    return ()

"""Locations in a task's YAML for errors about its keys."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.spec.document import Document
from xlmgen.spec.own_kinds import shown

KEY = re.compile(r"(?:source|tokenizer|max_length)(?:\.\w+|\[\d+\])*(?=[: ])")
PART = re.compile(r"\w+")


@contextmanager
def placed(document: Document) -> Iterator[None]:
    """Prefix an error that begins with a key of the task with file and line.

    Code that reads or generates examples knows keys, such as `source.sizes`, but not
    their file.
    """
    try:
        yield
    except UserError as error:
        key = KEY.match(error.message)
        if key is None:
            raise
        path = [int(p) if p.isdigit() else p for p in PART.findall(key[0])]
        line = document.span(tuple(path), key=True).line
        raise UserError(
            f"{shown(Path(document.file))}:{line}: {error.message}",
            error.fix,
            exit_code=error.exit_code,
        ) from error

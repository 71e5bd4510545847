"""The line of a task's YAML that an error about one of its keys is about."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.spec.document import Document
from xlmgen.spec.own_kinds import shown

KEY = re.compile(r"(?:source|tokenizer|block)(?:\.\w+|\[\d+\])*(?=[: ])")
PART = re.compile(r"\w+")


@contextmanager
def placed(document: Document) -> Iterator[None]:
    """Put file and line before an error that begins with a key of the task.

    What reads and makes examples knows the keys, such as `source.sizes`, and no file.
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

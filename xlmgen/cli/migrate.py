"""`xlmgen migrate`: rewrite specs of older format versions as the newest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import printing
from xlmgen.cli.flags import Diff
from xlmgen.errors import UserError
from xlmgen.terminal.output import say


def migrate(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.yaml...", help="Files of families, tasks or experiments."
        ),
    ],
    diff: Diff = False,
) -> int:
    """Rewrite specs of an older format version in the newest version.

    The 'spec:' line of a file names its version. Comments, order and layout are kept.
    Version 1 is the only one so far, so every valid file is current.

    Exit code 0: all files have the newest version; 1: a file has problems.

    Example: xlmgen migrate families/my_family/family.yaml --diff
    """
    code = 0
    for file in files:
        try:
            migrate_file(file, diff=diff)
        except UserError as error:
            printing.print_error(error)
            code = max(code, error.exit_code)
    return code


def migrate_file(file: Path, *, diff: bool) -> None:
    """Rewrite one file, or with `diff` only show the change.

    Raises:
        UserError: the file cannot be read, rewritten or written.
    """
    from xlmgen.io.files import rewrite_text
    from xlmgen.render.drift import unified
    from xlmgen.spec.load import load_yaml
    from xlmgen.spec.migrate import migrate as migrated

    document = load_yaml(file)
    text = migrated(document)
    if text == document.text:
        say(f"{file}: current")
    elif diff:
        printing.print_diff(unified(document.text, text, str(file), str(file)))
    else:
        rewrite_text(file, document.text, text)  # a symbolic link is followed
        say(f"{file}: rewritten")

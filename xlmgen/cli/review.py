"""`xlmgen review`: report the effects of changed specs and templates."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import printing
from xlmgen.errors import UserError
from xlmgen.spec.messages import did_you_mean, show

CLASSES = ("checkpoint", "config", "source", "behaviour")
FOLDERS = ("families", "tasks", "experiments")


class Format(StrEnum):
    text = "text"
    markdown = "markdown"
    github = "github"


def review(
    against: Annotated[
        str,
        typer.Option(
            metavar="GIT_REF",
            help="The commit to compare with: a branch, a tag, a hash.",
            show_default=False,
        ),
    ],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files and folders; ./families, ./tasks and ./experiments by default.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[Format, typer.Option(help="Output format.")] = Format.text,
    fail_on: Annotated[
        str,
        typer.Option(
            metavar="CLASSES",
            help="Classes of change that exit with 1, with commas between them: "
            f"{', '.join(CLASSES)}.",
            show_default=False,
        ),
    ] = "",
    vocabulary: Annotated[
        int, typer.Option(min=1, help="Vocabulary size for counting parameters.")
    ] = 50_257,
    length: Annotated[
        int, typer.Option(min=1, help="Sequence length for counting FLOPs.")
    ] = 1024,
    diff: Annotated[
        bool, typer.Option(help="Whether to show the differences of rendered files.")
    ] = True,
) -> int:
    """Report how a change of specs or templates changes the families.

    Lists every spec that differs from the commit, its changes and what they break:
    checkpoint (old weights no longer load), config (old experiments no longer
    validate), source (public names of the render change), behaviour (the same interface
    computes something else), or none. Nothing is checked out, and no code of the
    project is imported or run.

    Exit code 0: reviewed; 1: a spec has problems, or a change has a class that
    --fail-on names; 2: the review could not run.

    Example: xlmgen review --against origin/main --fail-on checkpoint,config
    """
    from xlmgen.cli.review_formats import FORMATS
    from xlmgen.review import Measure
    from xlmgen.review import review as compare

    failing = classes(fail_on)
    found = compare(against, _default(paths), Measure(vocabulary, length))
    output = FORMATS[format.value](found, diff=diff)
    if format is Format.text and printing.is_terminal(sys.stdout):
        printing.print_diff(output)
    elif output:
        print(output)
    return found.exit_code(failing)


def classes(listed: str) -> list[str]:
    """Parse a comma-separated list of classes.

    Raises:
        UserError: a class is unknown.
    """
    named = [word.strip() for word in listed.split(",") if word.strip()]
    for word in named:
        if word not in CLASSES:
            guess = did_you_mean(word, CLASSES)
            known = f"classes: {', '.join(CLASSES)}"
            raise UserError(
                f"--fail-on: there is no class {show(word)}", f"{guess} {known}".strip()
            )
    return named


def _default(paths: list[str] | None) -> list[Path]:
    if paths:
        return [Path(path) for path in paths]
    found = [Path(folder) for folder in FOLDERS if Path(folder).is_dir()]
    return found or [Path()]

"""`xlmgen task`: draft a task from a data file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.io.files import require_new, write_text
from xlmgen.terminal.output import say

EXPERIMENTS = {"lm": "mdlm/text", "seq2seq": "mdlm/star_tiny"}
"""Experiments that a drafted task can replace the task of, by its layout."""


def task(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A data file: .jsonl, .csv, .tsv, .txt or .parquet."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The task to write, which must not exist; by default a file with the "
            "name of the data, in the current folder."
        ),
    ] = None,
) -> int:
    """Draft a task from a data file: layout, columns, lengths.

    The draft explains each choice in a comment and can be used as it is. At most the
    first 16 MiB or 100,000 rows of the file are read.

    Example: xlmgen task questions.jsonl
    """
    if out is not None:
        require_new(out)

    from xlmgen.data.draft import draft
    from xlmgen.data.draft_text import task_yaml

    out, drafted = draft(file, out)
    text = task_yaml(drafted, out)
    require_new(out)
    write_text(out, text)
    parts = drafted.parts
    named = ", ".join(f"{key} {col.name}" for key, col in parts.columns.items())
    lengths = ", ".join(f"{k} {v.limit}" for k, v in drafted.lengths.items())
    say(f"{out}  layout {parts.layout}: {named}")
    say(f"max_length {lengths}; tokenizer {drafted.tokenizer['kind']}")
    example = EXPERIMENTS.get(parts.layout, EXPERIMENTS["seq2seq"])
    path = shlex.quote(str(out if out.parent != Path() else Path(out.name)))
    named = path if "/" in path else f"./{path}"
    say("next:")
    say(f"  xlmgen check {path}")
    say(f"  xlmgen data {example} task={named}")
    say(f"  xlmgen train {example} task={named}")
    return 0

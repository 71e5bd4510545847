"""`xlmgen tokenizer`: train a tokenizer on a task's texts and report statistics."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from xlmgen.errors import UserError
from xlmgen.io.files import require_new
from xlmgen.terminal.output import say


class Action(StrEnum):
    """Actions on a tokenizer."""

    train = "train"


class Kind(StrEnum):
    """Kinds of tokenizers that are trained on texts."""

    character = "character"
    whitespace = "whitespace"
    bpe = "bpe"
    wordpiece = "wordpiece"
    unigram = "unigram"


def tokenizer(
    action: Annotated[Action, typer.Argument(help="train.")],
    task: Annotated[
        str, typer.Argument(metavar="TASK", help="A task or its YAML file.")
    ],
    out: Annotated[
        Path, typer.Option(help="The file to write, which must not exist.")
    ] = Path("tokenizer.json"),
    kind: Annotated[
        Kind | None, typer.Option(help="Kind of tokenizer, instead of the task's.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Vocabulary size, instead of the task's.")
    ] = None,
) -> int:
    """Train a tokenizer on the train split of a task and save it.

    A task uses it with `tokenizer: {kind: file, path: tokenizer.json}`. The ids are
    then the same on every machine, even for kinds whose training is not deterministic.

    Example: xlmgen tokenizer train my_text.yaml --kind unigram --size 8192
    """
    from xlmgen.data.task import load_task

    loaded = load_task(task)
    require_new(out)

    from xlmgen.data import tokenizer_kinds
    from xlmgen.data.prepare import TrainTexts
    from xlmgen.data.tokenizer_report import report

    options = _options(loaded.tokenizer_options, kind, size)
    built = tokenizer_kinds.build(options, loaded.folder, TrainTexts(loaded))
    out.parent.mkdir(parents=True, exist_ok=True)
    built.save(out)
    for number, line in enumerate(report(loaded, built)):
        say(line if number else f"{options['kind']}  {line}")
    say(f"in {out}; a task beside it reads it with")
    say(f"  tokenizer: {{kind: file, path: {out.name}}}")
    return 0


def _options(own: Any, kind: Kind | None, size: int | None) -> dict[str, Any]:
    """Merge the task's options with those of the command line."""
    from xlmgen.data.tokenizer_kinds import SIZED, TRAINED
    from xlmgen.io.json_schema import validator
    from xlmgen.spec.defaults import fill_defaults
    from xlmgen.spec.schemas import built_in

    options = dict(own) if kind in (None, own["kind"]) else {"kind": str(kind)}
    if options["kind"] not in TRAINED:
        raise UserError(
            f"the tokenizer kind '{options['kind']}' is not trained on texts",
            f"choose one with --kind: {', '.join(TRAINED)}",
        )
    if size is not None:
        if options["kind"] not in SIZED:
            raise UserError(
                f"the tokenizer kind '{options['kind']}' has no size",
                f"those that have are {', '.join(SIZED)}",
            )
        options["size"] = size
    schema = built_in().schema("task")["properties"]["tokenizer"]
    for error in validator(schema).iter_errors(options):
        raise UserError(f"--size: {error.message}")
    filled: dict[str, Any] = fill_defaults(options, schema)
    return filled

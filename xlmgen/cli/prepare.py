"""`xlmgen prepare`: tokenise a task's data before training."""

from __future__ import annotations

from typing import Annotated

import typer

from xlmgen.cli.resolve import OVERRIDES
from xlmgen.runs.experiment import resolve_checked
from xlmgen.terminal.output import say


def prepare(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT",
            help="An experiment's file or name; or those of a task.",
        ),
    ],
    overrides: OVERRIDES = None,
) -> int:
    """Tokenise all splits of an experiment's task into the cache.

    An interrupted preparation resumes. Reports the number of rows that are filtered (by
    source.filter), unknown (to the tokenizer, with unknown: drop), and dropped or
    truncated (longer than the task's `max_length`, by overflow).

    Example: xlmgen prepare mdlm/star_tiny
    """
    from xlmgen.data.task import load_task
    from xlmgen.experiment.find import experiment_path
    from xlmgen.spec.load import load_yaml
    from xlmgen.spec.validate import file_kind
    from xlmgen.tasks.find import find_tasks

    given = list(overrides or ())
    is_name = experiment in dict(find_tasks())
    path = experiment if is_name else experiment_path(experiment)
    is_task = not given and (is_name or file_kind(load_yaml(path)) == "task")
    resolved = None if is_task else resolve_checked(path, given)
    task = load_task(resolved.task if resolved else experiment)

    from xlmgen.data.summary import padding_shares, table

    kind = task.tokenizer_options["kind"]
    say(f"{task.name}  tokenizer {kind}, {task.tokenizer.vocab_size:,} ids")
    for line in table(task):
        say(line, row=True)
    if resolved and (shares := padding_shares(task, resolved.training.batch_size)):
        say(shares)
    return 0

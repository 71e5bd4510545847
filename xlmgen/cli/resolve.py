"""`xlmgen resolve`: show an experiment with all defaults filled in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import report
from xlmgen.data.task import load_task
from xlmgen.experiment import resolve as resolve_experiment
from xlmgen.experiment.family_check import check_family, family_folder
from xlmgen.experiment.settings import Experiment
from xlmgen.experiment.show import to_yaml
from xlmgen.terminal.escape import terminal_lines

EXPERIMENT = Annotated[
    Path,
    typer.Argument(
        metavar="EXPERIMENT",
        help="A YAML file, or a name: graphs (in ./experiments), mdlm/star_tiny.",
    ),
]
OVERRIDES = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Values that replace the file's, such as training.max_steps=500.",
    ),
]


def resolve(experiment: EXPERIMENT, overrides: OVERRIDES = None) -> int:
    """Show an experiment with all defaults and where each comes from.

    The output is valid YAML that resolves to itself.

    Example: xlmgen resolve experiment.yaml training.seed=1
    """
    resolved = resolve_checked(experiment, overrides or ())
    text = to_yaml(resolved)
    if not report.is_terminal(sys.stdout):
        print(terminal_lines(text), end="")
        return 0
    from rich.text import Text

    from xlmgen.terminal.console import SafeConsole

    console = SafeConsole(soft_wrap=True)
    for line in text.splitlines():
        value, mark, origin = line.partition("  # ")
        style = "dim" if origin == "default" else "cyan"
        console.print(Text.assemble(value, (mark + origin, style)))
    return 0


def resolve_checked(experiment: str | Path, overrides: Sequence[str]) -> Experiment:
    """Resolve an experiment and check it with its family and task, without torch.

    Raises:
        SpecError: one of the three YAML files has problems.
        UserError: an override has a problem, a file is missing, or they do not fit.
    """
    resolved = resolve_experiment(experiment, overrides)
    folder = family_folder(resolved)
    check_family(resolved, folder, load_task(resolved.task).packing)
    return resolved

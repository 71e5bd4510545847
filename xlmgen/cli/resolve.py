"""`xlmgen resolve`: show an experiment with all defaults filled in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli import completion, printing
from xlmgen.cli.flags import FORMAT, Format, print_json
from xlmgen.experiment.show import to_yaml
from xlmgen.runs.experiment import resolve_checked
from xlmgen.terminal.escape import terminal_lines

EXPERIMENT = Annotated[
    Path,
    typer.Argument(
        metavar="EXPERIMENT",
        help="A YAML file, or a name: graphs (in ./experiments), mdlm/star_tiny.",
        autocompletion=completion.experiments,
    ),
]
OVERRIDES = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Values that replace the file's, such as training.max_steps=500.",
        autocompletion=completion.overrides,
    ),
]


def resolve(
    experiment: EXPERIMENT, overrides: OVERRIDES = None, format: FORMAT = Format.text
) -> int:
    """Show an experiment with all defaults and where each comes from.

    The output is valid YAML that resolves to itself; that of `--format json` has the
    experiment and, by dotted key, the origin of each value.

    Example: xlmgen resolve experiment.yaml training.seed=1
    """
    resolved = resolve_checked(experiment, overrides or ())
    if format is Format.json:
        print_json({"experiment": resolved.data, "origins": resolved.origins})
        return 0
    text = to_yaml(resolved)
    if not printing.is_terminal(sys.stdout):
        print(terminal_lines(text), end="")
        return 0
    from rich.text import Text

    from xlmgen.terminal.console import SafeConsole

    console = SafeConsole()
    for line in text.splitlines():
        value, mark, origin = line.partition("  # ")
        style = "dim" if origin == "default" else "cyan"
        console.print(Text.assemble(value, (mark + origin, style)), soft_wrap=True)
    return 0

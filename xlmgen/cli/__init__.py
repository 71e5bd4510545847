"""The command line: one module per command, assembled here.

A command parses its arguments, calls a plain function, reports, and returns its exit
code. Heavy packages (torch, lightning) are imported inside the function of the command
that needs them, and only the module of the command that runs is imported, so that the
other commands start quickly.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from xlmgen.cli import printing
from xlmgen.errors import UserError, shortened
from xlmgen.io.files import no_room
from xlmgen.spec.messages import did_you_mean
from xlmgen.terminal.output import say
from xlmgen.version import __version__

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # typer's own, unexported
# Typer's message for an option value that is not one of its choices.
CHOICE = re.compile(r"'(?P<word>[^']*)' is not one of (?P<known>'[^']*'(, '[^']*')*)")
MAY_BE_EMPTY = ("--prompt", "--fail-on")
INTERRUPTED = 130  # the exit code that shells expect after Ctrl-C

GROUPS = {
    "Project": ("init", "check", "review", "migrate", "schemas"),
    "Families": ("new", "update", "list", "explain"),
    "Data": ("task", "data", "tokenizer", "prepare", "cache"),
    "Runs": ("resolve", "train", "sweep", "eval", "generate", "compare", "report"),
    "Sharing": ("import", "export", "push", "pull"),
}
"""Commands in the order of the help; each is a function in a module of its name."""
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
NAMES = {"list": "list_", "eval": "eval_", "import": "import_"}
"""Of functions and modules whose commands have names that Python has taken."""


class GroupedCommands(TyperGroup):
    """The command line, whose help lists commands in groups with unbroken summaries."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [command for command in COMMANDS if command in self.commands]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for group, names in GROUPS.items():
            rows = [
                (name, self.commands[name].get_short_help_str(limit=200))
                for name in names
            ]
            with formatter.section(group):
                formatter.write_dl(rows, col_max=max(map(len, COMMANDS)))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"xlmgen {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Language-model families from one YAML file.

    A family is described in YAML, checked, rendered into a small PyTorch package, and
    trained, evaluated and sampled.

    Example: xlmgen new my_family.yaml
    """


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """Assemble the command line that these words need.

    If the first word names a command, the modules of other commands are not imported.
    """
    app = typer.Typer(
        name="xlmgen",
        cls=GroupedCommands,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    for command in set(COMMANDS).intersection(words[:1]) or COMMANDS:
        name = NAMES.get(command, command)
        module = import_module(f"xlmgen.cli.{name}")
        app.command(command)(getattr(module, name))
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    A user's mistake prints one line (or its diagnostics), never a traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    printing.open_closed()
    printing.escape_unprintable()
    try:
        return _run(words)
    except BrokenPipeError:
        printing.discard_output()
        return 1
    except OSError as error:
        if error.filename is not None or no_room(error) is None:
            raise
        printing.discard_output()
        with suppress(OSError):  # standard error may be full, too
            say(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
            sys.stderr.flush()
        return 2


def _run(words: Sequence[str]) -> int:
    """Run a command and print its errors; only errors of the outputs are raised."""
    try:
        _refuse_empty(words)
        code = command_line(words)(words, prog_name="xlmgen", standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        printing.print_error(error)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        printing.print_error(_unusable(os.fsdecode(error.filename), error))
        return 2
    except USAGE_ERROR as error:
        say(f"error: {_usage(error)}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # which has said why
        return int(stop.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _refuse_empty(words: Sequence[str]) -> None:
    """Refuse empty arguments, such as shell variables that are not set.

    An empty path would mean the current folder.

    Raises:
        UserError: a value is empty.
    """
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            empty = not value and option not in MAY_BE_EMPTY
        else:
            empty = not word and before not in MAY_BE_EMPTY
        if empty:
            raise UserError(
                f"an argument is empty: xlmgen {shlex.join(words)}",
                "give a value or leave it out; is a variable of the shell not set?",
            )


def _unusable(place: str, error: OSError) -> UserError:
    if isinstance(error, FileExistsError | NotADirectoryError) and not os.path.isdir(
        place
    ):
        return UserError(f"{place} is not a folder", "give another path")
    return UserError(f"cannot use {place}: {error.strerror}")


def _usage(error: BaseException) -> str:
    """Describe a usage error in one line that names the command's help."""
    message = getattr(error, "format_message", lambda: str(error))()
    command = getattr(getattr(error, "ctx", None), "command_path", "xlmgen")
    said = " ".join(message.split()).replace("Value error, ", "")
    choice = CHOICE.search(said)
    if choice:
        guess = did_you_mean(choice["word"], re.findall("'([^']*)'", choice["known"]))
        said += f" {guess[0].upper()}{guess[1:]}" if guess else ""
    return f"{shortened(said)} See `{command} --help`."

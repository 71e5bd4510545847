"""The command line: one module per command, assembled here.

A command parses, calls a plain function and reports. What is heavy to import (torch,
lightning) is imported inside the command that needs it, so that the others answer at
once. A command returns its exit code.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from xlmgen import __version__
from xlmgen.cli import (
    cache,
    check,
    data,
    eval_,
    explain,
    export,
    generate,
    import_,
    init,
    list_,
    migrate,
    new,
    prepare,
    pull,
    push,
    report,
    resolve,
    review,
    schemas,
    tokenizer,
    train,
    update,
)
from xlmgen.errors import UserError
from xlmgen.spec.messages import did_you_mean

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # typer's own, unexported
# How typer says that an option's value is none of those it takes.
CHOICE = re.compile(r"'(?P<word>[^']*)' is not one of (?P<known>'[^']*'(, '[^']*')*)")
INTERRUPTED = 130  # what shells expect after Ctrl-C

app = typer.Typer(
    name="xlmgen",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.init)
app.command("check")(check.check)
app.command("new")(new.new)
app.command("update")(update.update)
app.command("migrate")(migrate.migrate)
app.command("review")(review.review)
app.command("schemas")(schemas.schemas)
app.command("list")(list_.list_)
app.command("explain")(explain.explain)
app.command("resolve")(resolve.resolve)
app.command("tokenizer")(tokenizer.tokenizer)
app.command("prepare")(prepare.prepare)
app.command("data")(data.data)
app.command("train")(train.train)
app.command("eval")(eval_.eval_)
app.command("generate")(generate.generate)
app.command("import")(import_.import_)
app.command("export")(export.export)
app.command("push")(push.push)
app.command("pull")(pull.pull)
app.command("cache")(cache.cache)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"xlmgen {__version__}")
        raise typer.Exit


@app.callback()
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    A user's mistake is printed as one line (or as its diagnostics), never a traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    report.open_closed()
    report.escape_unprintable()
    try:
        code = app(words, prog_name="xlmgen", standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        report.print_error(error)
        return error.exit_code
    except BrokenPipeError:
        _close_stdout()
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        report.print_error(_unusable(os.fsdecode(error.filename), error))
        return 2
    except USAGE_ERROR as error:
        print(f"error: {_usage(error)}", file=sys.stderr)
        return 2
    except SystemExit as stop:  # which has said why
        return int(stop.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        print("interrupted", file=sys.stderr)
    return code if isinstance(code, int) else 0


def _unusable(place: str, error: OSError) -> UserError:
    if isinstance(error, FileExistsError | NotADirectoryError) and not os.path.isdir(
        place
    ):
        return UserError(f"{place} is not a folder", "give another path")
    return UserError(f"cannot use {place}: {error.strerror}")


def _usage(error: BaseException) -> str:
    """What is wrong with the words of the command line, and where help is."""
    message = getattr(error, "format_message", lambda: str(error))()
    command = getattr(getattr(error, "ctx", None), "command_path", "xlmgen")
    said = " ".join(message.split()).replace("Value error, ", "")
    choice = CHOICE.search(said)
    if choice:
        guess = did_you_mean(choice["word"], re.findall("'([^']*)'", choice["known"]))
        said += f" {guess[0].upper()}{guess[1:]}" if guess else ""
    return f"{said} See `{command} --help`."


def _close_stdout() -> None:
    """Let the interpreter end quietly when the reader of a pipe went away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

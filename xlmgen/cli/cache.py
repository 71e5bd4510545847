"""`xlmgen cache`: list and remove cached data."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from xlmgen.errors import UserError
from xlmgen.terminal.output import say

if TYPE_CHECKING:
    from xlmgen.data.cache import Found

DAY = 24 * 60 * 60


class Action(StrEnum):
    """What to do with the cache."""

    list = "list"
    clear = "clear"


def cache(
    action: Annotated[Action, typer.Argument(help="list or clear.")],
    older_than: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            min=0,
            help="Clear only entries that were not used for this many days.",
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Clear all entries.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List what would be removed; remove nothing."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask for confirmation.")
    ] = False,
) -> int:
    """List prepared data, last used first, or remove it.

    Removed data is prepared again when it is needed. Files that xlmgen did not write,
    and entries that a process is writing, are left alone.

    Example: xlmgen cache clear --older-than 30 --dry-run
    """
    from xlmgen.data.cache import entries, remove
    from xlmgen.data.digests import forget
    from xlmgen.resources import cache_root

    limit = time.time() - (older_than or 0) * DAY
    found = [each for each in entries() if older_than is None or each.used < limit]
    if action is Action.list:
        if all_ or dry_run or yes:
            raise UserError(
                "--all, --dry-run and --yes need `xlmgen cache clear`",
                "leave them out",
            )
    elif (older_than is None) == (not all_):
        raise UserError(
            "say what to clear", "give either --older-than DAYS or --all, and not both"
        )
    if not found:
        say(f"no cached data in {cache_root()}" if older_than is None else "none")
        return 0
    show(found)
    if action is Action.list or dry_run:
        return 0
    if not yes and not _agreed(found):
        say("nothing was removed")
        return 1
    kept = [each for each in found if not remove(each)]
    if all_:
        forget()
    for each in kept:
        say(f"{each.path} is being written; it was kept", file=sys.stderr)
    return 1 if kept else 0


def show(found: list[Found]) -> None:
    """Print one line per entry, and the total size."""
    rows = [
        (each.what, each.about or "–", size(each.size), age(each.used), each.path.name)
        for each in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for what, about, of, when, name in rows:
        say(
            f"{what:<{widths[0]}}  {about:<{widths[1]}}  {of:>{widths[2]}}  "
            f"{when:>{widths[3]}}  {name}"
        )
    total = sum(each.size for each in found)
    say(f"{len(found)} in {found[0].path.parent}, {size(total)}")


def size(count: int) -> str:
    """Format a number of bytes: `1.2 GB`."""
    number = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def age(when: float) -> str:
    """Format the time since `when` in the largest unit that fits."""
    seconds = max(0, time.time() - when)
    for length, unit in ((DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"


def _agreed(found: list[Found]) -> bool:
    """Ask the user for confirmation."""
    if not sys.stdin.isatty():
        raise UserError(
            "cannot ask for confirmation without a terminal",
            "add --yes to remove them",
        )
    return typer.confirm(f"remove {'it' if len(found) == 1 else 'them all'}?")

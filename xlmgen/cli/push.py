"""`xlmgen push`: share a run through the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from xlmgen.cli.eval_ import CHECKPOINT, RUN
from xlmgen.terminal.output import say

REPO_ID = Annotated[
    str,
    typer.Argument(metavar="USER/NAME", help="The repository on the Hub."),
]
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def push(
    run: RUN,
    repo_id: REPO_ID,
    checkpoint: CHECKPOINT = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(help="The branch, created if needed; main by default."),
    ] = None,
    message: Annotated[
        str | None, typer.Option(help="Commit message; names the step by default.")
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(help="License on the model card, such as mit; none by default."),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            help="A data set of the Hub that it was trained on, for the model card; "
            "those that its task reads else. May be given more than once."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="List the files and show the model card; use no network."
        ),
    ] = False,
) -> int:
    """Upload a run to the Hub, with a model card, in one commit.

    Optimiser state, predictions and paths of this machine are not uploaded.

    Example: xlmgen push runs/mdlm-star_tiny-tiny me/mdlm-star --license mit --dry-run
    """
    from xlmgen.hub.card import render_card
    from xlmgen.hub.contents import check_repo_id
    from xlmgen.hub.published import publish
    from xlmgen.runs.run import Run

    check_repo_id(repo_id)
    opened = Run.open(run)
    published = publish(opened, checkpoint)
    card = render_card(
        opened,
        published,
        repo_id,
        revision=revision,
        license=license,
        trained_on=dataset or (),
    )
    published = published.with_card(card)
    if published.unchecked:
        say(published.unchecked)
    if dry_run:
        counted = _show_files(published.sizes)
        say(f"{counted}, would be pushed to {repo_id}; nothing was")
        say()
        for line in card.splitlines():
            say(line)
        return 0
    from xlmgen.hub.push import push as upload

    pushed = upload(
        published, repo_id, private=private, branch=revision, message=message
    )
    if pushed.kept_card:
        say("README.md was edited on the Hub and was not replaced")
    say(f"{pushed.page}/tree/{pushed.commit}")
    say()
    say("next:")
    at = f" --revision {revision}" if revision else ""
    say(f"  xlmgen pull {repo_id}{at}")
    return 0


def _show_files(sizes: Mapping[str, int]) -> str:
    """List every file with its size; return their number and total size."""
    shown = {path: _size(number) for path, number in sizes.items()}
    width = max(map(len, shown.values()))
    for path, size in shown.items():
        say(f"  {size:>{width}}  {path}")
    return f"{len(sizes)} files, {_size(sum(sizes.values()))}"


def _size(number: int) -> str:
    for unit, name in UNITS:
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number} B"

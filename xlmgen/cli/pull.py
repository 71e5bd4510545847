"""`xlmgen pull`: download a run from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xlmgen.cli.push import REPO_ID
from xlmgen.terminal.output import say


def pull(
    repo_id: REPO_ID,
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="The run folder, which must not exist; runs/NAME by default.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A branch, a tag or a commit; main by default.")
    ] = None,
    trust_code: Annotated[
        bool,
        typer.Option(
            "--trust-code",
            help="Take the family's code as it was pushed, also where it is not what "
            "its YAML renders to, and functions of yours that the task names. eval, "
            "generate and train run them.",
        ),
    ] = False,
) -> int:
    """Download a run from the Hub, to evaluate, sample or train it.

    The family's code is rendered from its YAML here, and must equal the pushed code.

    Example: xlmgen pull me/mdlm-star runs/mdlm-star
    """
    from xlmgen.hub.pull import pull as download

    pulled = download(repo_id, folder, revision=revision, trust_code=trust_code)
    run = pulled.run.path
    say(f"{run}  step {pulled.step} of {repo_id} at {pulled.commit[:8]}")
    if pulled.data:
        say("its examples are local files; eval and train read yours from")
        for path in pulled.data:
            say(f"  {run / path}")
    say()
    say("next:")
    what = '--prompt "…"' if pulled.data else "--num 4"
    say(f"  xlmgen generate {run} {what} --trace")
    say(f"  xlmgen eval {run}")
    say(f"  xlmgen train {run}/experiment.yaml --run-dir {run}")
    return 0

"""Whether a pushed family's code is what its spec renders to.

A spec is data, and what it renders to is ours. Code that differs from that, or that a
pushed template decides, is somebody else's, and evaluating the run executes it.
"""

from __future__ import annotations

from collections.abc import Mapping

from xlmgen.errors import UserError
from xlmgen.hub.contents import is_own_kind
from xlmgen.registry import SPEC
from xlmgen.render import render
from xlmgen.runs.run import TASK
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import family_spec
from xlmgen.spec.hooks import hooks
from xlmgen.spec.load import load_yaml
from xlmgen.spec.project import BUILT_IN


def refuse_hooks(task: str, page: str) -> None:
    """Refuse a pushed task that names Python of the puller's own, to be run.

    Only the name was pushed; but which of your functions runs is somebody else's word.

    Args:
        task: its YAML.
        page: the address of the repository, for errors.

    Raises:
        UserError: it does.
    """
    named = [target for _, target in hooks(load_yaml(TASK, task).data)]
    if named:
        raise UserError(
            f"{page}: its task runs Python that only you can have: {', '.join(named)}",
            "when you have read yours and want it run, pull with --trust-code",
        )


def rendered_anew(
    pushed: Mapping[str, str], family: str, page: str, version: str
) -> dict[str, str]:
    """The files of a family's folder, rendered here from the spec that was pushed.

    Args:
        pushed: the texts of the repository, by path; none of it is executed.
        family: its name.
        page: the address of the repository, for errors.
        version: the xlmgen that pushed it.

    Returns:
        text by path in the repository: the files that were pushed, and no others.

    Raises:
        UserError: the code is not what the spec renders to, or not by our kinds alone.
    """
    folder = f"families/{family}/"
    mine = [path for path in pushed if path.startswith(folder)]
    if own := sorted(path for path in pushed if is_own_kind(path)):
        raise UserError(
            f"{page}: its family has kinds of its own, whose templates decide what "
            f"code runs: {', '.join(own)}",
            "when you have read them and trust their author, pull with --trust-code",
        )
    try:
        document = load_yaml(f"{folder}{SPEC}", pushed[f"{folder}{SPEC}"])
        spec = family_spec(document, BUILT_IN)
    except SpecError as error:
        raise UserError(
            f"{page}: xlmgen cannot read its {SPEC}: {error.diagnostics[0].message}",
            f"xlmgen {version} pushed it; pull with that version or a newer one",
        ) from error
    if spec.name != family:
        raise UserError(
            f"{page}: the family in {folder} is named {spec.name}",
            "it was edited on the Hub; ask its owner to push it again",
        )
    files = {f"{folder}{path}": text for path, text in render(spec).items()}
    code = {path for path in files if path.endswith(".py") and path.count("/") == 2} | {
        path for path in mine if path.endswith(".py")
    }
    differing = [
        path.removeprefix(folder)
        for path in sorted(code)
        if files.get(path) != pushed.get(path)
    ]
    if differing:
        raise UserError(
            f"{page}: its code is not what its {SPEC} renders to: "
            f"{', '.join(differing)} {'differ' if differing[1:] else 'differs'}; it "
            f"was edited, or rendered by another xlmgen ({version}), and eval and "
            "generate would run it with your rights",
            "when you have read it and trust its author, pull with --trust-code",
        )
    return {path: files[path] for path in mine if path in files}

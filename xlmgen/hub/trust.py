"""Check that a pushed family's code equals the local render of its spec.

A spec is data, and its render is xlmgen's own code. Other code, or code from a pushed
template, is written by a stranger, and evaluating the run would execute it.
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
    """Refuse a pushed task that names Python functions to run on this machine.

    The task has only their names, but a stranger would choose which of the user's
    functions run.

    Args:
        task: the task's YAML.
        page: the address of the repository, for errors.

    Raises:
        UserError: the task names functions; the message lists them.
    """
    named = [target for _, target in hooks(load_yaml(TASK, task).data)]
    if named:
        raise UserError(
            f"{page}: its task runs Python functions that are not in the repository: "
            f"{', '.join(named)}",
            "if you want to run your own code of these names, pull with --trust-code",
        )


def render_pushed(
    pushed: Mapping[str, str], family: str, page: str, version: str
) -> dict[str, str]:
    """Render a pushed family from its spec, and compare the code with the pushed code.

    Args:
        pushed: the texts of the repository, by path; none of them is executed.
        family: the family's name.
        page: the address of the repository, for errors.
        version: the version of xlmgen that pushed the run.

    Returns:
        rendered text by path in the repository, of the files that were pushed.

    Raises:
        UserError: the code differs from the render, or the family has own kinds.
    """
    folder = f"families/{family}/"
    mine = [path for path in pushed if path.startswith(folder)]
    if own := sorted(path for path in pushed if is_own_kind(path)):
        raise UserError(
            f"{page}: its family has own kinds, whose templates decide what code "
            f"runs: {', '.join(own)}",
            "if you have read them and trust their author, pull with --trust-code",
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
            f"{page}: its code is not the render of its {SPEC}: "
            f"{', '.join(differing)} {'differ' if differing[1:] else 'differs'}; the "
            f"code was edited, or rendered by another xlmgen ({version}), and eval and "
            "generate would run it with your rights",
            "if you have read it and trust its author, pull with --trust-code",
        )
    return {path: files[path] for path in mine if path in files}

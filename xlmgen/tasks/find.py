"""Search of tasks in the current folder, `$XLMGEN_PATH` and xlmgen itself."""

import os
from pathlib import Path
from typing import NamedTuple

from xlmgen.errors import UserError
from xlmgen.io.data_files import draft_hint
from xlmgen.io.files import begin, visible

BUILT_IN = Path(__file__).resolve().parent


class FoundTask(NamedTuple):
    """Name of a task, which is the stem of its file, and the file."""

    name: str
    path: Path


def folders() -> list[Path]:
    """Search path of tasks, nearest first.

    `./tasks`, then `tasks` in every folder of `$XLMGEN_PATH`, then the built-in tasks.
    """
    entries = os.environ.get("XLMGEN_PATH", "").split(os.pathsep)
    return [
        Path("tasks"),
        *(Path(entry) / "tasks" for entry in entries if entry),
        BUILT_IN,
    ]


def find_tasks() -> list[FoundTask]:
    """Every task, sorted by name; of two with the same name, the nearer."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in visible(folder, "*.yaml"):
            found.setdefault(path.stem, path)
    return [FoundTask(name, found[name]) for name in sorted(found)]


def task_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The YAML file of a task.

    A text that ends in .yaml or .yml, or contains a folder, is a path; any other is a
    name.

    Raises:
        UserError: there is no such file or no task of that name.
    """
    text = os.fspath(name_or_path)
    path = Path(*begin(Path(), text))
    if path.suffix in (".yaml", ".yml") or path.name != text:
        if not path.is_file():
            hint = draft_hint(path)
            what = f"{text} is data, not a task" if hint else ""
            raise UserError(
                what or f"there is no task file {text}",
                hint or "check the path of the YAML file",
            )
        return path
    found = dict(find_tasks())
    if text not in found:
        from xlmgen.spec.messages import show

        if hint := draft_hint(path):
            raise UserError(f"{show(text)} is data, not a task", hint)
        raise UserError(f"there is no task {show(text)}", _suggestion(text, found))
    return found[text]


def _suggestion(name: str, known: dict[str, Path]) -> str:
    from xlmgen.spec.messages import did_you_mean

    listed = ", ".join(known)
    guess = did_you_mean(name, known)
    return f"{guess} known tasks: {listed}".strip()

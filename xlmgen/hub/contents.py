"""Files of a run in a repository on the Hub: their names and the manifest.

The weights are at the top level, where the Hub counts their parameters; other files
have the same paths as in a run folder.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from xlmgen.data.auto_tokenizer import SETTINGS
from xlmgen.errors import UserError
from xlmgen.io.json_input import parse_object
from xlmgen.io.shards import INDEX
from xlmgen.registry import SPEC
from xlmgen.render.lock import is_inside
from xlmgen.render.plan import LOCK
from xlmgen.runs.run import EXPERIMENT, TASK, TOKENIZER, VERSIONS
from xlmgen.spec.project import KINDS, TEMPLATES

MANIFEST, CARD = "xlmgen.json", "README.md"
FORMAT = "xlmgen/hub/v1"
AGAIN = "ask its owner to push the run again"
TOP = (EXPERIMENT, TASK, TOKENIZER, SETTINGS, VERSIONS, MANIFEST, CARD)
OF_FAMILY = (SPEC, LOCK, CARD)
OWN_KINDS = tuple(f"{folder.as_posix()}/" for folder in (KINDS, TEMPLATES))
"""Folders of a project's own kinds, which decide what code its specs render to."""
_PATH = re.compile(r"[\w./=+-]+", re.ASCII)
"""Characters of the paths that a push writes; all other files are ignored."""
_VERSION = re.compile(r"[\w.+-]{1,40}", re.ASCII)
_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)


@dataclass(frozen=True)
class Manifest:
    """`xlmgen.json`: marks a repository as a run, and describes its files.

    Args:
        family: the family's name.
        step: of the checkpoint.
        weights: names of the checkpoint's files.
        xlmgen: the version that pushed the run.
        card: git hash of the model card that was pushed last, which shows later edits;
            None if the card in the repository was never pushed by xlmgen.
    """

    family: str
    step: int
    weights: tuple[str, ...]
    xlmgen: str
    card: str | None

    def to_json(self) -> str:
        return json.dumps({"spec": FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def parse(cls, text: bytes, place: str) -> Manifest:
        """Parse a manifest.

        Args:
            text: JSON in UTF-8.
            place: the name of the file, for errors.

        Raises:
            UserError: the manifest has another format, or is damaged.
        """
        try:
            data = parse_object(text, place, AGAIN)
            spec = data.pop("spec", None)
            if spec != FORMAT:
                raise UserError(
                    f"{place} is of the format {spec!r}, not {FORMAT!r}",
                    "a newer xlmgen pushed it: pip install --upgrade xlmgen",
                )
            read = cls(**{**data, "weights": tuple(data["weights"])})
        except (TypeError, KeyError) as error:
            raise UserError(f"{place} is damaged", AGAIN) from error
        if not read.is_sound:
            raise UserError(f"{place} is damaged", AGAIN)
        return read

    @property
    def is_sound(self) -> bool:
        """Whether every value has its type, and every name could be from a push."""
        return (
            isinstance(self.family, str)
            and self.family.isidentifier()
            and type(self.step) is int
            and isinstance(self.xlmgen, str)
            and _VERSION.fullmatch(self.xlmgen) is not None
            and 0 < len(self.weights) == len(set(self.weights))
            and all(isinstance(name, str) for name in self.weights)
            and all(is_ours(name) and is_weights(name) for name in self.weights)
            and (self.card is None or isinstance(self.card, str))
        )


def is_weights(path: str) -> bool:
    """Whether a path is a safetensors file, or the index of several."""
    return "/" not in path and (path.endswith(".safetensors") or path == INDEX)


def is_own_kind(path: str) -> bool:
    """Whether a path is a schema or a template of a project's own kind."""
    return path.startswith(OWN_KINDS) and path.endswith((".json", ".jinja"))


def is_ours(path: str) -> bool:
    """Whether a path is one that a push writes; other files are never read."""
    if not (is_inside(path) and _PATH.fullmatch(path)):
        return False
    parts = PurePosixPath(path).parts
    if len(parts) == 1:
        return path in TOP or is_weights(path)
    if parts[0] == "families" and len(parts) == 3:
        return parts[2] in OF_FAMILY or parts[2].endswith(".py")
    return is_own_kind(path)


def check_repo_id(repo_id: str) -> str:
    """Refuse an invalid name of a repository, before any network access.

    Raises:
        UserError: the name is invalid; the message shows the correct form.
    """
    names = repo_id.split("/")
    sound = (
        len(names) == 2
        and len(repo_id) <= 96
        and all(_NAME.fullmatch(name) for name in names)
        and not any(part in repo_id for part in ("--", ".."))
        and not repo_id.endswith(".git")
    )
    if sound:
        return repo_id
    parts = [part for part in names if part]
    guess = "/".join(parts[2:4]) if "://" in repo_id else ""
    raise UserError(
        f"{repo_id!r} is not the name of a repository",
        f"did you mean {guess}?"
        if "/" in guess
        else "write it as USER/NAME: letters, digits, '-', '_' and '.'",
    )

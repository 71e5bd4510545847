"""What a repository on the Hub holds of a run, and under which names.

The weights lie at the top, where the Hub counts their parameters; the rest lies as in a
run folder.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

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
TOP = (EXPERIMENT, TASK, TOKENIZER, VERSIONS, MANIFEST, CARD)
OF_FAMILY = (SPEC, LOCK, CARD)
OWN_KINDS = tuple(f"{folder.as_posix()}/" for folder in (KINDS, TEMPLATES))
"""Where the kinds of a project lie, which decide what code its specs render to."""
_PATH = re.compile(r"[\w./=+-]+", re.ASCII)
"""Of what the paths consist that a push writes; others are not even named."""
_VERSION = re.compile(r"[\w.+-]{1,40}", re.ASCII)
_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)


@dataclass(frozen=True)
class Manifest:
    """`xlmgen.json`: what marks a repository as a run, and says how to read it.

    Args:
        family: the family's name.
        step: of the checkpoint.
        weights: the files that it consists of.
        xlmgen: the version that pushed it.
        card: the git hash of the model card that was pushed, by which one that
            was edited since is told; None where somebody else had written it.
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
        """The manifest in a text.

        Args:
            place: where it is from, for the error.

        Raises:
            UserError: it is of another format, or damaged.
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
        """Whether every value is of its type and every name one that we would write."""
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
    """Whether a path is that of weights: safetensors, or the index of several."""
    return "/" not in path and (path.endswith(".safetensors") or path == INDEX)


def is_own_kind(path: str) -> bool:
    """Whether a path is that of a project's own kind: a schema or a template."""
    return path.startswith(OWN_KINDS) and path.endswith((".json", ".jinja"))


def is_ours(path: str) -> bool:
    """Whether a path is one that a push writes; nothing else is ever read."""
    if not (is_inside(path) and _PATH.fullmatch(path)):
        return False
    parts = PurePosixPath(path).parts
    if len(parts) == 1:
        return path in TOP or is_weights(path)
    if parts[0] == "families" and len(parts) == 3:
        return parts[2] in OF_FAMILY or parts[2].endswith(".py")
    return is_own_kind(path)


def check_repo_id(repo_id: str) -> str:
    """Refuse what cannot be the name of a repository, before any network is used.

    Raises:
        UserError: it is none.
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

"""What of a run is published, and how: nothing that names a folder of this machine."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.experiment.settings import Experiment
from xlmgen.experiment.show import to_yaml
from xlmgen.hub.contents import CARD, MANIFEST, Manifest, is_ours
from xlmgen.render.changes import read
from xlmgen.runs.checkpoint_folder import evaluated_weights
from xlmgen.runs.run import EXPERIMENT, TASK, TOKENIZER, VERSIONS, Run
from xlmgen.spec.project import own_files
from xlmgen.version import __version__

DATA = "data"
"""The folder of a pulled run in which its task looks for local files."""
_ESCAPED = re.compile(r"\[([*?[])\]")


@dataclass(frozen=True)
class Published:
    """The files that a push uploads.

    Args:
        manifest: what marks them as a run.
        texts: all but the manifest's, by their paths in the repository.
        weights: the files of the checkpoint, by the same.
    """

    manifest: Manifest
    texts: Mapping[str, str]
    weights: Mapping[str, Path]

    @property
    def all_texts(self) -> dict[str, str]:
        """Every text, the manifest's among them."""
        return {**self.texts, MANIFEST: self.manifest.to_json()}

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file, the weights last."""
        texts = {path: len(text.encode()) for path, text in self.all_texts.items()}
        files = {path: file.stat().st_size for path, file in self.weights.items()}
        return texts | files

    def with_card(self, card: str) -> Published:
        """With a model card."""
        manifest = replace(self.manifest, card=git_hash(card.encode()))
        return replace(self, manifest=manifest, texts={CARD: card, **self.texts})

    def without_card(self, last: str | None) -> Published:
        """Without one, where somebody edited it since the last that was pushed.

        Args:
            last: the hash of that one.
        """
        texts = {path: text for path, text in self.texts.items() if path != CARD}
        return replace(self, manifest=replace(self.manifest, card=last), texts=texts)


def publish(run: Run, checkpoint: str | None = None) -> Published:
    """What of a run is published.

    Args:
        checkpoint: which one; see `Run.checkpoint`.

    Raises:
        UserError: the run has no such checkpoint, or a file of it is damaged.
    """
    stored = run.weights(checkpoint)
    weights = evaluated_weights(stored.folder)
    family = run.family_folder
    manifest = Manifest(family.name, stored.step, tuple(weights), __version__, None)
    document = run.load_task().document
    texts = {
        EXPERIMENT: portable_experiment(run.experiment, family.name),
        TASK: _yaml(portable_task(document)),
        TOKENIZER: _text(run.path / TOKENIZER),
        VERSIONS: portable_versions(run.record),
    }
    for file in (*sorted(family.iterdir()), *own_files(run.path)):
        path = file.relative_to(run.path).as_posix()
        if is_ours(path):
            texts[path] = _text(file)
    return Published(manifest, texts, weights)


def portable_experiment(experiment: Experiment, family: str) -> str:
    """An experiment as YAML whose family and task lie beside it."""
    places = {"family": f"./families/{family}", "task": f"./{TASK}"}
    return to_yaml(
        replace(experiment, data={**experiment.data, **places}), origins=False
    )


def portable_task(document: Mapping[str, Any]) -> dict[str, Any]:
    """A task whose local files are those of a folder beside it.

    The files of a split keep their names, and patterns all that is variable about
    them; the folders that they lie in here become `data/SPLIT`. A local data set keeps
    its name. A tokenizer that is a file is the one that is saved beside the task.
    """
    copy = dict(document)
    if files := copy["source"].get("files"):
        moved = {split: _moved(split, paths) for split, paths in files.items()}
        copy["source"] = {**copy["source"], "files": moved}
    if (hub := copy["source"].get("hub")) and _is_local(hub["path"]):
        path = f"./{DATA}/{Path(hub['path']).name}"
        copy["source"] = {**copy["source"], "hub": {**hub, "path": path}}
    if "path" in copy["tokenizer"]:
        copy["tokenizer"] = {**copy["tokenizer"], "path": TOKENIZER}
    return copy


def local_files(document: Mapping[str, Any]) -> list[str]:
    """The paths and patterns of a task's local files; none of a generated task."""
    named = [*document["source"].get("files", {}).values()]
    named += filter(_is_local, _of_hub(document))
    lists = ([paths] if isinstance(paths, str) else paths for paths in named)
    return [path for paths in lists for path in paths]


def datasets(document: Mapping[str, Any]) -> list[str]:
    """The data sets of the Hub that a task reads."""
    return [path for path in _of_hub(document) if not _is_local(path)]


def _of_hub(document: Mapping[str, Any]) -> list[str]:
    """The data set of a task, on the Hub or a local folder of its shape."""
    hub = document["source"].get("hub")
    return [hub["path"]] if hub else []


def _is_local(path: str) -> bool:
    """Whether what could be the name of a data set is a folder."""
    return path.startswith(("/", "./", "../"))


def portable_versions(record: Mapping[str, Any]) -> str:
    """`versions.json` with the names of files alone where it has their full paths."""
    return json.dumps(_without_folders(record), indent=2, ensure_ascii=False) + "\n"


def git_hash(content: bytes) -> str:
    """The hash by which git, and so the Hub, knows a file's content."""
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _moved(split: str, paths: str | Sequence[str]) -> str | list[str]:
    """Full paths and patterns of one split as those of a folder beside the task."""
    if isinstance(paths, str):
        return f"{DATA}/{split}/{_variable_part(paths)[1]}"
    parts = [_variable_part(path) for path in paths]
    folders = list(dict.fromkeys(folder for folder, _ in parts))
    if len(folders) == 1:
        return [f"{DATA}/{split}/{rest}" for _, rest in parts]
    return [  # of two files with one name, neither may take the other's place
        f"{DATA}/{split}/{folders.index(folder) + 1}/{rest}" for folder, rest in parts
    ]


def _variable_part(path: str) -> tuple[str, str]:
    """A path's folder, and its name; a pattern's from its first wildcard on."""
    *folders, name = path.split("/")
    fixed = 0
    for part in folders:
        # A folder whose own name has wildcards is written with them escaped.
        if glob.escape(_ESCAPED.sub(r"\1", part)) != part:
            break
        fixed += 1
    return "/".join(folders[:fixed]), "/".join([*folders[fixed:], name])


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if isinstance(value, str):
        key, equals, path = value.rpartition("=")
        return f"{key}{equals}{Path(path).name}" if _leads_out(path) else value
    return value


def _leads_out(path: str) -> bool:
    return path.startswith(("/", "~", "..")) and path != "/"


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    return text


def _text(file: Path) -> str:
    text = read(file)
    if text is None:
        raise UserError(
            f"{file} is no UTF-8 text, or is a link", "nothing of the kind is pushed"
        )
    return text

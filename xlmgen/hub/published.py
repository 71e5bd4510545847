"""Collect the files of a run to publish, without paths of this machine's folders."""

from __future__ import annotations

import glob
import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xlmgen.data.auto_tokenizer import (
    SETTINGS,
    compare,
    refuse_different,
    tokenizer_settings,
)
from xlmgen.data.task import Task
from xlmgen.errors import UserError
from xlmgen.experiment.settings import Experiment
from xlmgen.experiment.show import to_yaml
from xlmgen.hub.contents import CARD, MANIFEST, Manifest, is_ours
from xlmgen.io.files import json_text
from xlmgen.render.changes import read
from xlmgen.runs.checkpoint_folder import evaluated_weights
from xlmgen.runs.run import EXPERIMENT, TASK, TOKENIZER, VERSIONS, Run
from xlmgen.spec.project import own_files
from xlmgen.version import __version__

DATA = "data"
"""Folder of a pulled run for the local files of its task."""
_ESCAPED = re.compile(r"\[([*?[])\]")


@dataclass(frozen=True)
class Published:
    """The files that a push uploads.

    Args:
        manifest: marks the repository as a run.
        texts: all texts but the manifest's, by path in the repository.
        weights: files of the checkpoint, by path in the repository.
        unchecked: what could not be compared of the tokenizer, and why; or empty.
    """

    manifest: Manifest
    texts: Mapping[str, str]
    weights: Mapping[str, Path]
    unchecked: str = ""

    @property
    def all_texts(self) -> dict[str, str]:
        """All texts by path, including the manifest's."""
        return {**self.texts, MANIFEST: self.manifest.to_json()}

    @property
    def sizes(self) -> dict[str, int]:
        """Size of every file in bytes by path, the weights last."""
        texts = {path: len(text.encode()) for path, text in self.all_texts.items()}
        files = {path: file.stat().st_size for path, file in self.weights.items()}
        return texts | files

    def with_card(self, card: str) -> Published:
        """Add a model card."""
        manifest = replace(self.manifest, card=git_hash(card.encode()))
        return replace(self, manifest=manifest, texts={CARD: card, **self.texts})

    def without_card(self, last: str | None) -> Published:
        """Remove the model card, because the one in the repository was edited.

        Args:
            last: git hash of the card that was pushed last; None if none was.
        """
        texts = {path: text for path, text in self.texts.items() if path != CARD}
        return replace(self, manifest=replace(self.manifest, card=last), texts=texts)


def publish(run: Run, checkpoint: str | None = None) -> Published:
    """Collect the files of a run that a push uploads.

    Args:
        run: the run.
        checkpoint: see `Run.checkpoint`.

    Raises:
        UserError: the run has no such checkpoint, a file of it is damaged, or
            transformers would load another tokenizer from the files.
    """
    stored = run.weights(checkpoint)
    weights = evaluated_weights(stored.folder)
    family = run.family_folder
    manifest = Manifest(family.name, stored.step, tuple(weights), __version__, None)
    task = run.load_task()
    tokenizer = {
        TOKENIZER: _text(run.path / TOKENIZER),
        SETTINGS: json_text(tokenizer_settings(task.tokenizer)) + "\n",
    }
    texts = {
        EXPERIMENT: portable_experiment(run.experiment, family.name),
        TASK: _yaml(portable_task(task.document)),
        **tokenizer,
        VERSIONS: portable_versions(run.record),
    }
    for file in (*sorted(family.iterdir()), *own_files(run.path)):
        path = file.relative_to(run.path).as_posix()
        if is_ours(path):
            texts[path] = _text(file)
    return Published(manifest, texts, weights, _compared(tokenizer, task))


def _compared(tokenizer: Mapping[str, str], task: Task) -> str:
    """Compare the files of a tokenizer with the task's; return what was not compared.

    Raises:
        UserError: transformers would load another tokenizer.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in tokenizer.items():
            (Path(folder) / name).write_text(text, "utf-8")
        found = compare(Path(folder), task)
    refuse_different(found)
    return found.unchecked


def portable_experiment(experiment: Experiment, family: str) -> str:
    """Format an experiment as YAML that names the family and task of its folder."""
    places = {"family": f"./families/{family}", "task": f"./{TASK}"}
    return to_yaml(
        replace(experiment, data={**experiment.data, **places}), origins=False
    )


def portable_task(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task whose local paths start in its own folder.

    Files of a split become `data/SPLIT/NAME`; patterns keep their part from the first
    wildcard on. A local data set becomes `./data/NAME`. The path of a tokenizer becomes
    that of the tokenizer saved beside the task.
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
    """Return the paths and patterns of a task's local files, if it has any."""
    named = [*document["source"].get("files", {}).values()]
    named += filter(_is_local, _of_hub(document))
    lists = ([paths] if isinstance(paths, str) else paths for paths in named)
    return [path for paths in lists for path in paths]


def datasets(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the Hub's data sets that a task reads."""
    return [path for path in _of_hub(document) if not _is_local(path)]


def _of_hub(document: Mapping[str, Any]) -> list[str]:
    """Return the path of a task's data set: on the Hub, or a local folder."""
    hub = document["source"].get("hub")
    return [hub["path"]] if hub else []


def _is_local(path: str) -> bool:
    """Whether the path of a data set is a local folder."""
    return path.startswith(("/", "./", "../"))


def portable_versions(record: Mapping[str, Any]) -> str:
    """Format `versions.json` with full paths replaced by the names of their files."""
    return json.dumps(_without_folders(record), indent=2, ensure_ascii=False) + "\n"


def git_hash(content: bytes) -> str:
    """Compute git's hash of a file's content, which the Hub also uses."""
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _moved(split: str, paths: str | Sequence[str]) -> str | list[str]:
    """Replace the folders of one split's paths and patterns by `data/SPLIT`."""
    if isinstance(paths, str):
        return f"{DATA}/{split}/{_variable_part(paths)[1]}"
    parts = [_variable_part(path) for path in paths]
    folders = list(dict.fromkeys(folder for folder, _ in parts))
    if len(folders) == 1:
        return [f"{DATA}/{split}/{rest}" for _, rest in parts]
    return [  # numbered by folder, because files of two folders may share a name
        f"{DATA}/{split}/{folders.index(folder) + 1}/{rest}" for folder, rest in parts
    ]


def _variable_part(path: str) -> tuple[str, str]:
    """Split a path into folder and name; a pattern at its first wildcard."""
    *folders, name = path.split("/")
    fixed = 0
    for part in folders:
        # Wildcards in a folder's own name are escaped in the path.
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
            f"{file} is not valid UTF-8, or is a link",
            "replace it by a regular file of text: only those are pushed",
        )
    return text

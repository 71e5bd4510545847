"""Settings of a task, read from its YAML file and validated."""

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlmgen.errors import UserError
from xlmgen.io.files import begin, located
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import SpecError, errors
from xlmgen.spec.document import Document, dotted
from xlmgen.spec.hooks import hooks
from xlmgen.spec.load import load_yaml
from xlmgen.spec.own_kinds import shown
from xlmgen.spec.validate import validate
from xlmgen.tasks.find import BUILT_IN, task_path
from xlmgen.tasks.hook import Hook

LOCAL = ("./", "../", "/", "~/")
"""Prefixes of the path of a local data set."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TaskSpec:
    """Settings of a task from its YAML file.

    Args:
        name: of the task, in runs and tables.
        title: one line; may be empty.
        layout: `lm`, `seq2seq` or `infill`.
        max_length: maximum lengths of examples, including special tokens.
        source: the mapping under `source:`, defaults filled in.
        tokenizer_options: the mapping under `tokenizer:`, defaults filled in.
        packing: `none`, `packed` or `documents`.
        overflow: `error`, `drop` or `truncate`.
        unknown: `error` or `drop`.
        metrics: keys of `xlmgen.evaluation.scores.METRICS`, or of `own_metrics`.
        document: the complete YAML file as data, defaults filled in.
        written: the YAML file as read, with the line of every key.
        folder: base of relative paths.
        own_source: the user's own function that generates examples, if any.
        own_metrics: the user's own metrics by name.
    """

    name: str
    title: str
    layout: str
    max_length: MaxLength
    source: Mapping[str, Any]
    tokenizer_options: Mapping[str, Any]
    packing: str
    overflow: str
    unknown: str
    metrics: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False)
    written: Document = field(repr=False, compare=False)
    folder: Path = Path()
    own_source: Hook | None = None
    own_metrics: Mapping[str, Hook] = field(default_factory=dict)

    @property
    def packed(self) -> bool:
        """Whether examples are rows of a stream of documents."""
        return self.packing != "none"

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of an example."""
        return {
            "lm": ("tokens",),
            "seq2seq": ("prompt", "target"),
            "infill": ("tokens", "given"),
        }[self.layout]

    @property
    def code(self) -> dict[str, str]:
        """Digests of the code of the user's own functions, by their targets.

        Raises:
            UserError: a function does not exist.
        """
        own = [self.own_source] if self.own_source else []
        return {h.target: h.digest for h in (*own, *self.own_metrics.values())}

    @property
    def settings(self) -> dict[str, Any]:
        """Contents of the YAML, with full paths, independent of its location."""
        settings = with_full_paths(self.document, self.folder.absolute())
        tokenizer = dict(settings["tokenizer"])
        tokenizer.pop("special", None)  # a run's copy has it, its source may not
        return {**settings, "tokenizer": tokenizer}


def load_task_spec(name_or_path: str | os.PathLike[str]) -> TaskSpec:
    """Load the settings of a task by its name or by the path of its YAML file.

    Args:
        name_or_path: see `find.task_path`.

    Raises:
        UserError: no such task, or its file has problems (then a `SpecError`).
    """
    path = task_path(name_or_path)
    document = load_yaml(path)
    if problems := errors(validate(document, "task")):
        raise SpecError(problems)
    data = fill_defaults(document.data, "task")
    max_length = data["max_length"]
    own = {
        key[:-1]: Hook(
            target,
            f"{shown(path)}:{document.span(key).line}: {dotted(key)}",
            path.parent,
        )
        for key, target in hooks(data)
    }
    metrics = {
        hook.name if (hook := own.get(("metrics", number))) else name: hook
        for number, name in enumerate(data["metrics"])
    }
    return TaskSpec(
        name=data["name"],
        title=data["title"],
        layout=data["layout"],
        max_length=MaxLength(
            max_length.get("length") or max_length["answer"],
            max_length.get("prompt", 0),
        ),
        source=data["source"],
        tokenizer_options=data["tokenizer"],
        packing=data["packing"],
        overflow=data["overflow"],
        unknown=data["unknown"],
        metrics=tuple(metrics),
        document=data,
        written=document,
        folder=Path() if path.parent.resolve() == BUILT_IN else path.parent,
        own_source=own.get(("source",)),
        own_metrics={name: hook for name, hook in metrics.items() if hook},
    )


def check_split(split: str) -> None:
    """Raise a `UserError` for an unknown split."""
    if split not in SPLITS:
        raise UserError(
            f"there is no split '{split}'", f"it is one of {', '.join(SPLITS)}"
        )


def with_full_paths(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A copy of the document with absolute paths."""

    def full(path: str | list[str]) -> str | list[str]:
        if isinstance(path, list):
            return [str(full(part)) for part in path]
        if glob.has_magic(path):
            start, rest = begin(folder, path)
            return str(Path(glob.escape(str(start))) / rest)
        return str(located(folder, path))

    copy = dict(document)
    if "files" in copy["source"]:
        files = {split: full(paths) for split, paths in copy["source"]["files"].items()}
        copy["source"] = {**copy["source"], "files": files}
    hub = copy["source"].get("hub")
    if hub and hub["path"].startswith(LOCAL):
        hub = {**hub, "path": str(located(folder, hub["path"]))}
        copy["source"] = {**copy["source"], "hub": hub}
    if "path" in copy["tokenizer"]:
        path = full(copy["tokenizer"]["path"])
        copy["tokenizer"] = {**copy["tokenizer"], "path": path}
    return copy

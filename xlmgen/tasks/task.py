"""A task: its settings, its tokenizer and its examples."""

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlmgen.errors import UserError
from xlmgen.files import begin, located
from xlmgen.spec.document import Document
from xlmgen.tasks.find import BUILT_IN, task_path
from xlmgen.tasks.hook import Hook
from xlmgen.tasks.places import placed
from xlmgen.tokens import Block

if TYPE_CHECKING:
    from xlmgen.data.examples import Example
    from xlmgen.data.prepare import Prepared, Summary
    from xlmgen.data.sources import Corpus
    from xlmgen.data.tokenizer import Tokenizer

LOCAL = ("./", "../", "/", "~/")
"""What the path of a local data set begins with."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Task:
    """What a task's YAML says, and what follows from it.

    Nothing is read, generated or imported for it before it is asked for.

    Args:
        name: as runs and tables show it.
        title: the task in one line; may be empty.
        layout: `lm`, `seq2seq` or `infill`.
        block: the longest that examples may be, special tokens included.
        source: the mapping under `source:`, defaults filled in.
        tokenizer_options: the mapping under `tokenizer:`, defaults filled in.
        packing: `none`, `packed` or `documents`.
        overflow: `error`, `drop` or `truncate`.
        unknown: `error` or `drop`.
        metrics: keys of `xlmgen.evaluation.scores.METRICS`, or of `own_metrics`.
        document: the whole YAML file as data, defaults filled in.
        written: the YAML file as it was read, which knows the line of every key.
        folder: what relative paths start from.
        saved_tokenizer: a tokenizer.json to use instead of building one.
        own_source: the user's own function that draws examples, where there is one.
        own_metrics: those that score answers, by the names of their metrics.
    """

    name: str
    title: str
    layout: str
    block: Block
    source: Mapping[str, Any]
    tokenizer_options: Mapping[str, Any]
    packing: str
    overflow: str
    unknown: str
    metrics: tuple[str, ...]
    document: Mapping[str, Any] = field(repr=False)
    written: Document = field(repr=False, compare=False)
    folder: Path = Path()
    saved_tokenizer: Path | None = None
    own_source: Hook | None = None
    own_metrics: Mapping[str, Hook] = field(default_factory=dict)

    @property
    def packed(self) -> bool:
        """Whether examples are blocks of a stream of documents."""
        return self.packing != "none"

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of an example."""
        return {
            "lm": ("tokens",),
            "seq2seq": ("prompt", "target"),
            "infill": ("tokens", "given"),
        }[self.layout]

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The task's tokenizer, built (and where it is learned, trained) or read."""
        from xlmgen.data.prepare import make_tokenizer

        with placed(self.written):
            return make_tokenizer(self)

    def examples(self, split: str) -> "Sequence[Example]":
        """The examples of `train`, `validation` or `test`.

        Each is a dict of one-dimensional integer arrays (see `columns`), and all of
        them fit in the block. Building them is done once and kept in the cache.

        Raises:
            UserError: the source cannot be read or made, a text cannot be tokenised,
                or an example is too long and the overflow policy is `error`.
        """
        with placed(self.written):
            return self.prepared.examples(split)

    def summary(self, split: str) -> "Summary":
        """How many documents and tokens a split has, and what was left out of it."""
        with placed(self.written):
            return self.prepared.summary(split)

    @cached_property
    def corpus(self) -> "Corpus":
        """The texts of the task's examples."""
        from xlmgen.data.sources import Corpus

        with placed(self.written):
            return Corpus(self.source, self.columns, self.folder, self.own_source)

    @property
    def code(self) -> dict[str, str]:
        """The functions of the user's own that it names, with digests of their code.

        Raises:
            UserError: one is not there.
        """
        own = [self.own_source] if self.own_source else []
        return {h.target: h.digest for h in (*own, *self.own_metrics.values())}

    @cached_property
    def prepared(self) -> "Prepared":
        from xlmgen.data.prepare import prepare

        with placed(self.written):
            return prepare(self)

    @property
    def opening(self) -> "Example":
        """An example without tokens: what a whole sequence is generated from."""
        from xlmgen.data.prepare import opening

        return opening(self)

    def encode_prompt(self, text: str) -> "Example":
        """A prompt typed by a person, as an example to generate from.

        For `infill` the text is the whole sequence, with [MASK] for each hole.

        Raises:
            UserError: it cannot be tokenised or does not fit in the block.
        """
        from xlmgen.data.prepare import encode_prompt

        return encode_prompt(self, text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, special tokens left out."""
        return self.tokenizer.decode(ids)

    @property
    def settings(self) -> dict[str, Any]:
        """What the YAML says, the same wherever it lies; paths are written in full."""
        settings = _absolute(self.document, self.folder.absolute())
        tokenizer = dict(settings["tokenizer"])
        tokenizer.pop("special", None)  # which a copy names, and its source may not
        return {**settings, "tokenizer": tokenizer}

    def save(self, folder: Path) -> None:
        """Write `task.yaml` and `tokenizer.json`, from which a run can be evaluated.

        `load_task(folder / "task.yaml", tokenizer=folder / "tokenizer.json")` gives the
        same task, wherever the folder is: paths are written in full.
        """
        import yaml

        document = _absolute(self.document, self.folder.absolute())
        if self.tokenizer_options["kind"] == "file":
            # Where they are named beside the tokenizer, the copy would not know.
            special = {"special": self.tokenizer.names}
            document["tokenizer"] = {**document["tokenizer"], **special}
        draft = folder / f".task.yaml.{os.getpid()}"
        draft.write_text(
            yaml.safe_dump(
                document,
                sort_keys=False,
                allow_unicode=True,
            ),
            encoding="utf-8",
        )
        draft.replace(folder / "task.yaml")
        self.tokenizer.save(folder / "tokenizer.json")


def load_task(
    name_or_path: str | os.PathLike[str], *, tokenizer: Path | None = None
) -> Task:
    """A task by its name or by the path of its YAML file, checked.

    Args:
        name_or_path: see `find.task_path`.
        tokenizer: a saved tokenizer.json to use instead of building one: a run's own.

    Raises:
        UserError: no such task, or its file has problems (then a `SpecError`).
    """
    from xlmgen.spec.defaults import fill_defaults
    from xlmgen.spec.diagnostics import SpecError, errors
    from xlmgen.spec.document import dotted
    from xlmgen.spec.hooks import hooks
    from xlmgen.spec.load import load_yaml
    from xlmgen.spec.own_kinds import shown
    from xlmgen.spec.validate import validate

    path = task_path(name_or_path)
    document = load_yaml(path)
    if problems := errors(validate(document, "task")):
        raise SpecError(problems)
    data = fill_defaults(document.data, "task")
    block = data["block"]
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
    return Task(
        name=data["name"],
        title=data["title"],
        layout=data["layout"],
        block=Block(block.get("length") or block["answer"], block.get("prompt", 0)),
        source=data["source"],
        tokenizer_options=data["tokenizer"],
        packing=data["packing"],
        overflow=data["overflow"],
        unknown=data["unknown"],
        metrics=tuple(metrics),
        document=data,
        written=document,
        folder=Path() if path.parent.resolve() == BUILT_IN else path.parent,
        saved_tokenizer=tokenizer,
        own_source=own.get(("source",)),
        own_metrics={name: hook for name, hook in metrics.items() if hook},
    )


def check_split(split: str) -> None:
    """Raise the error for a split that there is not."""
    if split not in SPLITS:
        raise UserError(
            f"there is no split '{split}'", f"it is one of {', '.join(SPLITS)}"
        )


def _absolute(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A copy of the document whose paths start from the root."""

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

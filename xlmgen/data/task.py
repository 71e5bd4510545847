"""A task with its tokenizer and its examples."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xlmgen.tasks.places import placed
from xlmgen.tasks.spec import TaskSpec, load_task_spec, with_full_paths

if TYPE_CHECKING:
    from xlmgen.data.examples import Example
    from xlmgen.data.prepare import Prepared, Summary
    from xlmgen.data.sources import Corpus
    from xlmgen.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Task(TaskSpec):
    """The settings of a task, and the tokenizer and examples that follow from them.

    Nothing is read, generated or imported for it before it is asked for.

    Args:
        saved_tokenizer: a tokenizer.json to use instead of building one.
    """

    saved_tokenizer: Path | None = None

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

    def save(self, folder: Path) -> None:
        """Write `task.yaml` and `tokenizer.json`, from which a run can be evaluated.

        `load_task(folder / "task.yaml", tokenizer=folder / "tokenizer.json")` gives the
        same task, wherever the folder is: paths are written in full.
        """
        import yaml

        document = with_full_paths(self.document, self.folder.absolute())
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
    """Load a task by its name or by the path of its YAML file.

    Args:
        name_or_path: see `xlmgen.tasks.find.task_path`.
        tokenizer: a saved tokenizer.json to use instead of building one: a run's own.

    Raises:
        UserError: no such task, or its file has problems (then a `SpecError`).
    """
    return Task(**vars(load_task_spec(name_or_path)), saved_tokenizer=tokenizer)

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
    """Settings of a task, with its tokenizer and examples.

    Tokenizer and examples are read, generated or built on first use.

    Args:
        saved_tokenizer: a tokenizer.json to use instead of building one.
    """

    saved_tokenizer: Path | None = None

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The task's tokenizer: saved, built or trained."""
        from xlmgen.data.prepare import make_tokenizer

        with placed(self.written):
            return make_tokenizer(self)

    def examples(self, split: str) -> "Sequence[Example]":
        """The examples of `train`, `validation` or `test`.

        Each is a dict of one-dimensional integer arrays (see `columns`) that fits in
        `max_length`. They are tokenised once and cached.

        Raises:
            UserError: the source cannot be read or generated, a text cannot be
                tokenised, or an example is too long and `overflow` is `error`.
        """
        with placed(self.written):
            return self.prepared.examples(split)

    def summary(self, split: str) -> "Summary":
        """Counts of a split's documents and tokens, and of the rows left out."""
        with placed(self.written):
            return self.prepared.summary(split)

    @cached_property
    def corpus(self) -> "Corpus":
        """Corpus with the texts of the task's examples."""
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
        """The empty context of unconditional generation."""
        from xlmgen.data.prepare import opening

        return opening(self)

    def encode_prompt(self, text: str) -> "Example":
        """Encode a prompt typed by a person as an example to generate from.

        For `infill` the text is the full sequence, with [MASK] for each hole.

        Raises:
            UserError: it cannot be tokenised or is longer than `max_length` allows.
        """
        from xlmgen.data.prepare import encode_prompt

        return encode_prompt(self, text)

    def encode_example(self, text: str, answer: str | None = None) -> "Example":
        """Encode a text, or a prompt and its answer, as an example of the task.

        Args:
            text: the text (layout `lm`), or the prompt (`seq2seq`).
            answer: the answer (`seq2seq`).

        Raises:
            UserError: a part cannot be tokenised or is longer than `max_length` allows.
        """
        from xlmgen.data.prepare import encode_example

        return encode_example(self, text, answer)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids, without special tokens."""
        return self.tokenizer.decode(ids)

    def save(self, folder: Path) -> None:
        """Write `task.yaml` and `tokenizer.json`, from which a run can be evaluated.

        `load_task(folder / "task.yaml", tokenizer=folder / "tokenizer.json")` returns
        the same task from any location of the folder: paths are written in full.
        """
        import yaml

        document = with_full_paths(self.document, self.folder.absolute())
        if self.tokenizer_options["kind"] == "file":
            # Their names may be in a file next to the tokenizer, which is not copied.
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

"""Tokenizer and tokenised examples of a task, stored in the cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from xlmgen.data import cache, tokenise, tokenizer_kinds
from xlmgen.data.digests import code_digest, digest
from xlmgen.data.examples import AT_ONCE, Example, Examples, Ragged
from xlmgen.data.packing import PackedExamples
from xlmgen.data.task import Task
from xlmgen.data.tokenizer import Tokenizer
from xlmgen.errors import UserError
from xlmgen.io.manifest import read_manifest
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.tasks.spec import SPLITS, check_split

HOLE = "[MASK]"  # a hole in a prompt that a person types


def make_tokenizer(task: Task) -> Tokenizer:
    """The tokenizer of a task; one that is trained on its texts is cached."""
    options = task.tokenizer_options
    if task.saved_tokenizer:
        return Tokenizer.load(
            task.saved_tokenizer,
            options.get("special"),
            shared=options.get("shared", False),
            vocab_size=options.get("vocab_size"),
        )
    if options["kind"] not in tokenizer_kinds.TRAINED:
        return tokenizer_kinds.build(options, task.folder, ())

    def train(folder: Path) -> None:
        built = tokenizer_kinds.build(options, task.folder, TrainTexts(task))
        built.save(folder / "tokenizer.json")

    inputs = {
        "what": "tokenizer",
        "options": dict(options),
        "layout": task.layout,
        "texts": task.corpus.fingerprint,
        "code": code_digest(tokenizer_kinds),
        "library": tokenizers.__version__,
    }
    return Tokenizer.load(
        cache.entry(inputs, train, about=task.name) / "tokenizer.json"
    )


@dataclass(frozen=True)
class TrainTexts:
    """Texts of the train split, for training a tokenizer."""

    task: Task

    def __iter__(self) -> Iterator[str]:
        """Read the texts.

        Raises:
            UserError: there are none, or the source cannot be read.
        """
        found = filtered = 0
        for row in self.task.corpus.rows():
            if row.texts is None:
                filtered += 1
            elif row.split == "train":
                found += 1
                for key, text in zip(self.task.columns, row.texts, strict=True):
                    if key != "given":
                        yield text
        if not found:
            self.task.corpus.refuse_empty({"validation": 1, "test": 1}, filtered)


@dataclass(frozen=True)
class Summary:
    """Counts of the rows of one split.

    Args:
        examples: number of examples, or of the rows of a packed stream.
        documents: rows tokenised.
        tokens: their tokens, before any document is dropped or truncated.
        filtered: rows that the filter dropped; for splits cut from train by shares,
            all are counted as train.
        unknown: rows dropped because the tokenizer cannot encode them.
        dropped: documents dropped because they are longer than `max_length`.
        truncated: documents truncated to `max_length`.
    """

    examples: int
    documents: int
    tokens: int
    filtered: int
    unknown: int
    dropped: int
    truncated: int


@dataclass(frozen=True)
class Prepared:
    """Tokenised examples of a task on disk, before its `max_length` is applied."""

    task: Task
    folder: Path

    def examples(self, split: str) -> Sequence[Example]:
        """See `Task.examples`."""
        check_split(split)
        task = self.task
        columns = self._columns(split)
        if task.packed:
            special = task.tokenizer.special
            return PackedExamples(
                columns["tokens"],
                task.max_length.length,
                bos=special.bos,
                eos=special.eos,
                separate=task.packing == "documents",
            )
        limits = id_limits(task.max_length, task.layout)
        if task.overflow == "truncate":
            return Examples(columns, longest=limits["tokens"])
        too_long = self._too_long(split)
        if too_long is None:
            return Examples(columns)
        if task.overflow == "error":
            self._refuse(split, int(too_long.argmax()))
        if too_long.all():
            raise UserError(
                f"task {task.name}: every example of the {split} split is too long",
                "raise max_length",
            )
        return Examples(columns, np.flatnonzero(~too_long))

    def summary(self, split: str) -> Summary:
        """Counts of the rows of a split."""
        examples = self.examples(split)
        counts = self.report[split]
        too_long = None if self.task.packed else self._too_long(split)
        number = 0 if too_long is None else int(too_long.sum())
        cut = self.task.overflow == "truncate"
        return Summary(
            examples=len(examples),
            documents=counts.documents,
            tokens=sum(n for key, n in counts.tokens.items() if key != "given"),
            filtered=counts.filtered,
            unknown=counts.unknown,
            dropped=0 if cut else number,
            truncated=number if cut else 0,
        )

    @cached_property
    def report(self) -> tokenise.Report:
        """Counts from when the rows were tokenised."""
        return tokenise.read_report(self.folder)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of the rows of each split, which depends on their ids alone."""
        manifest = read_manifest(self.folder)
        assert manifest is not None, f"{self.folder} is an entry of the cache"
        return {
            split: digest(
                {
                    key: [
                        manifest.files[f"{split}.{key}.{part}.npy"].sha256
                        for part in ("ids", "offsets")
                    ]
                    for key in self.task.columns
                }
            )
            for split in SPLITS
        }

    def _columns(self, split: str) -> dict[str, Ragged]:
        return {
            key: Ragged(self.folder / f"{split}.{key}") for key in self.task.columns
        }

    def _too_long(self, split: str) -> npt.NDArray[np.bool_] | None:
        """(rows,) whether each row is longer than `max_length`; None if none is.

        The report has the longest length, so usually no row is read.
        """
        limits = id_limits(self.task.max_length, self.task.layout)
        longest = self.report[split].longest
        found = None
        for key, limit in limits.items():
            if longest[key] > limit:
                over = _longer(Ragged(self.folder / f"{split}.{key}"), limit)
                found = over if found is None else found | over
        return found

    def _refuse(self, split: str, row: int) -> None:
        """Raise the error for a row that is too long."""
        task = self.task
        place = task.corpus.place(*self._place(split, row))
        if not place.endswith(" split"):  # as of a file from which shares were cut
            place += f" ({split} split)"
        for key, limit in id_limits(task.max_length, task.layout).items():
            column = Ragged(self.folder / f"{split}.{key}")
            if len(column[row]) > limit:
                needed = self.report[split].longest[key] + (2 if key == "tokens" else 1)
                raise UserError(
                    f"task {task.name}: the {key} of {place} has {len(column[row])} "
                    f"tokens, and max_length has room for {limit} besides the special "
                    "tokens",
                    f"raise max_length.{_max_length_key(key)} to {needed} or set "
                    "overflow: drop" + (" or truncate" if task.layout == "lm" else ""),
                )

    def _place(self, split: str, row: int) -> tuple[int, int]:
        """Piece of the source that a row was read from, and its line there."""
        places = np.load(self.folder / f"{split}.places.npy", mmap_mode="r")
        return int(places[2 * row]), int(places[2 * row + 1])


def prepare(task: Task) -> Prepared:
    """Tokenise all splits of a task, unless the cache has them."""
    tokenizer = task.tokenizer
    drop = task.unknown == "drop"

    def build(folder: Path) -> None:
        tokenise.tokenise(task.corpus, tokenizer, folder, drop=drop, task=task.name)

    inputs = {
        "what": "examples",
        "layout": task.layout,
        "texts": task.corpus.fingerprint,
        "tokenizer": digest(tokenizer.to_bytes().decode()),
        "unknown": task.unknown,
        "library": tokenizers.__version__,
    }
    folder = cache.entry(inputs, build, resumable=True, about=task.name)
    return Prepared(task, folder)


def id_limits(max_length: MaxLength, layout: str) -> dict[str, int]:
    """The most ids of each key of an example, without BOS and EOS.

    The limits do not depend on whether a family uses BOS or EOS, so that all families
    get the same examples.
    """
    if layout == "seq2seq":
        return {"prompt": max_length.prompt - 1, "target": max_length.answer - 1}
    return {"tokens": max_length.answer - 2}


def opening(task: Task) -> Example:
    """See `Task.opening`."""
    return {"packed": np.array(True)} if task.packed else {}


def encode_prompt(task: Task, text: str) -> Example:
    """See `Task.encode_prompt`."""
    encode = task.tokenizer.encode
    if task.layout != "infill":
        prompt = np.array(encode(text, "prompt"), dtype=np.int64)
        limit = (
            task.max_length.prompt - 1
            if task.max_length.prompt
            else task.max_length.answer - 2
        )
        _refuse_long("prompt", len(prompt), limit)
        return {**task.opening, "prompt": prompt}
    tokens: list[int] = []
    given: list[int] = []
    for number, part in enumerate(text.split(HOLE)):
        if number:
            tokens.append(task.tokenizer.special.mask)
            given.append(0)
        ids = encode(part, f"prompt after hole {number}" if number else "prompt")
        tokens += ids
        given += [1] * len(ids)
    _refuse_long(
        "prompt", len(tokens), id_limits(task.max_length, task.layout)["tokens"]
    )
    return {
        "tokens": np.array(tokens, dtype=np.int64),
        "given": np.array(given, dtype=np.int64),
    }


def encode_example(task: Task, text: str, answer: str | None = None) -> Example:
    """See `Task.encode_example`."""
    encode = task.tokenizer.encode
    limits = id_limits(task.max_length, task.layout)
    parts = {"tokens": text} if answer is None else {"prompt": text, "target": answer}
    found: Example = {}
    for name, part in parts.items():
        ids = np.array(encode(part, name), dtype=np.int64)
        _refuse_long(name, len(ids), limits[name])
        found[name] = ids
    return found


def _longer(column: Ragged, limit: int) -> npt.NDArray[np.bool_]:
    """(rows,) whether each row has more ids than the limit."""
    found = np.empty(len(column), np.bool_)
    for start in range(0, len(column), AT_ONCE):
        offsets = column.offsets[start : start + AT_ONCE + 1]
        found[start : start + AT_ONCE] = np.diff(offsets) > limit
    return found


def _max_length_key(key: str) -> str:
    return {"prompt": "prompt", "target": "answer", "tokens": "length"}[key]


def _refuse_long(name: str, length: int, limit: int) -> None:
    if length > limit:
        raise UserError(
            f"{name}: it has {length} tokens, and max_length has room for {limit} "
            "besides the special tokens",
            "shorten it, or raise max_length in the task's YAML",
        )

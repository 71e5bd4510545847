"""From a task to its tokenizer and its tokenised examples, kept in the cache."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tokenizers

from xlmgen.data import cache, sources, tokenizer_kinds
from xlmgen.data.examples import Example, Examples, Ints, Ragged
from xlmgen.data.packing import PackedExamples
from xlmgen.data.tokenizer import Tokenizer
from xlmgen.errors import UserError
from xlmgen.tasks.task import SPLITS, Task, check_split
from xlmgen.tokens import Block

HOLE = "[MASK]"  # how a person writes a hole in a prompt


def make_tokenizer(task: Task) -> Tokenizer:
    """The tokenizer of a task; one that is learned from its texts is kept."""
    options = task.tokenizer_options
    if task.saved_tokenizer:
        return Tokenizer.load(
            task.saved_tokenizer,
            options.get("special"),
            shared=options.get("shared", False),
            vocab_size=options.get("vocab_size"),
        )
    if options["kind"] not in tokenizer_kinds.LEARNED:
        return tokenizer_kinds.build(options, task.folder, ())

    def train(folder: Path) -> None:
        texts = sources.read(task.source, task.columns, task.folder)["train"]
        text_columns = [texts.columns[key] for key in task.columns if key != "given"]
        rows = (text for column in text_columns for text in column)
        built = tokenizer_kinds.build(options, task.folder, rows)
        built.save(folder / "tokenizer.json")

    what = {
        "what": "tokenizer",
        "options": dict(options),
        "layout": task.layout,
        "texts": sources.fingerprint(task.source, task.folder),
        "code": sources.code_digest(tokenizer_kinds),
        "library": tokenizers.__version__,
    }
    return Tokenizer.load(cache.entry(what, train) / "tokenizer.json")


@dataclass(frozen=True)
class Prepared:
    """The tokenised examples of a task on disk, before its block is applied."""

    task: Task
    folder: Path

    def examples(self, split: str) -> Sequence[Example]:
        """See `Task.examples`."""
        check_split(split)
        task = self.task
        columns = {key: Ragged(self.folder / f"{split}.{key}") for key in task.columns}
        if task.packing == "packed":
            special = task.tokenizer.special
            return PackedExamples(
                columns["tokens"], task.block.length, bos=special.bos, eos=special.eos
            )
        limits = room(task.block, task.layout)
        if task.overflow == "truncate":
            return Examples(columns, longest=limits["tokens"])
        return _fitting(task, split, columns, limits)


def prepare(task: Task) -> Prepared:
    """Tokenise all splits of a task, unless the cache has them."""
    tokenizer = task.tokenizer
    what = {
        "what": "examples",
        "layout": task.layout,
        "texts": sources.fingerprint(task.source, task.folder),
        "tokenizer": cache.digest(tokenizer.to_bytes().decode()),
        "library": tokenizers.__version__,
    }
    return Prepared(task, cache.entry(what, partial(_tokenise, task)))


def room(block: Block, layout: str) -> dict[str, int]:
    """The most ids that each key of an example may have beside BOS and EOS.

    It is the same for every family, also for one that has no use for BOS, so that all
    families see the same examples.
    """
    if layout == "seq2seq":
        return {"prompt": block.prompt - 1, "target": block.answer - 1}
    return {"tokens": block.answer - 2}


def opening(task: Task) -> Example:
    """See `Task.opening`."""
    return {"packed": np.array(True)} if task.packing == "packed" else {}


def encode_prompt(task: Task, text: str) -> Example:
    """See `Task.encode_prompt`."""
    encode = task.tokenizer.encode
    if task.layout != "infill":
        prompt = np.array(encode(text, "prompt"), dtype=np.int64)
        limit = task.block.prompt - 1 if task.block.prompt else task.block.answer - 2
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
    _refuse_long("prompt", len(tokens), room(task.block, task.layout)["tokens"])
    return {
        "tokens": np.array(tokens, dtype=np.int64),
        "given": np.array(given, dtype=np.int64),
    }


def _tokenise(task: Task, folder: Path) -> None:
    """Write the ids of every split into a folder."""
    splits = sources.read(task.source, task.columns, task.folder)
    for split in SPLITS:
        texts = splits[split]
        place = partial(texts.place, split=split)
        for key in task.columns:
            if key != "given":
                ids = task.tokenizer.encode_all(texts.columns[key], place)
                Ragged.write(folder / f"{split}.{key}", ids)
        if "given" in task.columns:
            counts = Ragged(folder / f"{split}.tokens").lengths.tolist()
            rows = zip(_flags(task, texts, place), counts, strict=True)
            given = (_given(*row, place(number)) for number, row in enumerate(rows))
            Ragged.write(folder / f"{split}.given", given)


def _flags(
    task: Task, texts: sources.Texts, place: Callable[[int], str]
) -> Iterator[str]:
    """Which tokens are given, as texts of 0 and 1."""
    hole = task.source.get("hole")
    if hole is None:
        yield from texts.columns["given"]
        return
    rows = zip(texts.columns["tokens"], texts.columns["given"], strict=True)
    for number, (whole, given) in enumerate(rows):
        if len(whole) != len(given) or any(
            there not in (character, hole)
            for character, there in zip(whole, given, strict=True)
        ):
            raise UserError(
                f"{place(number)}: {given!r} is not {whole!r} with {hole!r} for holes",
                "write the sequence itself, and the hole for each character to be "
                "found",
            )
        yield "".join("0" if there == hole else "1" for there in given)


def _given(text: str, count: int, place: str) -> list[int]:
    """A text of 0 and 1 as numbers."""
    if len(text) != count or not set(text) <= {"0", "1"}:
        raise UserError(
            f"{place}: given is {text!r}, and the row has {count} tokens",
            "write 1 for each token that is given and 0 for each other",
        )
    return [int(c) for c in text]


def _fitting(
    task: Task, split: str, columns: Mapping[str, Ragged], limits: Mapping[str, int]
) -> Examples:
    """The rows that fit in the block; by the policy, an error where one does not."""
    fits = np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
    for key, limit in limits.items():
        lengths = columns[key].lengths
        if task.overflow == "error" and (lengths > limit).any():
            row = int((lengths > limit).argmax())
            raise UserError(
                f"task {task.name}: the {key} of row {row} of the {split} split has "
                f"{lengths[row]} tokens, and the block has room for {limit} beside "
                "the special tokens",
                f"raise block.{_block_key(key)} to {_needed(lengths, key)} or "
                "set overflow: drop",
            )
        fits &= lengths <= limit
    if not fits.any():
        raise UserError(
            f"task {task.name}: no example of the {split} split fits in the block",
            "raise the block",
        )
    return Examples(columns, None if fits.all() else np.flatnonzero(fits))


def _block_key(key: str) -> str:
    return {"prompt": "prompt", "target": "answer", "tokens": "length"}[key]


def _needed(lengths: Ints, key: str) -> int:
    return int(lengths.max()) + (2 if key == "tokens" else 1)


def _refuse_long(what: str, length: int, limit: int) -> None:
    if length > limit:
        raise UserError(
            f"{what}: it has {length} tokens, and the block has room for {limit} "
            "beside the special tokens",
            "shorten it, or raise the block in the task's YAML",
        )

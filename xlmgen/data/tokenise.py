"""Tokenise a corpus to disk in resumable shards.

A shard has the ids of some millions of characters of the source. It is written under a
temporary name and renamed, and records where in the source the next shard begins. An
interrupted build continues after the last shard whose files are intact.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xlmgen.data.examples import ArrayWriter, Ragged, RaggedWriter, id_type, stored
from xlmgen.data.progress import TokenisingProgress
from xlmgen.data.sources import Corpus, Row
from xlmgen.data.tokenizer import AT_ONCE, CHARACTERS_AT_ONCE, Tokenizer
from xlmgen.errors import UserError
from xlmgen.io.json_input import Schema, read_object
from xlmgen.io.manifest import file_digest
from xlmgen.spec.messages import show
from xlmgen.tasks.spec import SPLITS

SHARDS, REPORT = "shards", "report.json"
SHARD_CHARACTERS = 1 << 24
SHARD: Schema = {
    "required": ["piece", "skip", "files"],
    "properties": {
        "piece": {"type": "integer"},
        "skip": {"type": "integer"},
        "files": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


@dataclass
class Counts:
    """Counts of the rows of one split.

    Args:
        documents: rows that were kept.
        tokens: their tokens, by the keys of an example.
        longest: the most tokens of a row, by the same keys.
        filtered: rows that the filter dropped, counted in the split they were read for.
        unknown: rows that the tokenizer cannot encode.
    """

    documents: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    filtered: int = 0
    unknown: int = 0

    def add(self, key: str, tokens: int) -> None:
        """Count the tokens of a row."""
        self.tokens[key] = self.tokens.get(key, 0) + tokens
        self.longest[key] = max(self.longest.get(key, 0), tokens)

    def merge(self, other: Counts) -> None:
        """Add the counts of another shard."""
        self.documents += other.documents
        self.filtered += other.filtered
        self.unknown += other.unknown
        for key, tokens in other.tokens.items():
            self.tokens[key] = self.tokens.get(key, 0) + tokens
            self.longest[key] = max(self.longest.get(key, 0), other.longest[key])


Report = dict[str, Counts]


def read_report(folder: Path) -> Report:
    """Read the counts of each split that `tokenise` wrote."""
    data = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return {split: Counts(**counts) for split, counts in data["splits"].items()}


def tokenise(
    corpus: Corpus, tokenizer: Tokenizer, folder: Path, *, drop: bool, task: str
) -> None:
    """Write the ids of every split into a folder, with the source of each row.

    Args:
        corpus: the texts.
        tokenizer: encodes them.
        folder: empty, or from an interrupted build of the same examples.
        drop: drop and count rows that the tokenizer cannot encode.
        task: name of the task, for the progress display.

    Raises:
        UserError: the source cannot be read, a split is empty, or a text cannot be
            encoded and `drop` is false.
    """
    shards = folder / SHARDS
    shards.mkdir(exist_ok=True)
    done, piece, skip = _finished(shards)
    rows = corpus.rows(piece, skip)
    with TokenisingProgress(corpus, task) as progress:
        while True:
            draft = shards / "part"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            with _Shard(draft, corpus, tokenizer, drop=drop) as shard:
                more = shard.fill(rows, progress)
            if shard.last is not None:
                skip = shard.rows_of_last + (skip if shard.last == piece else 0)
                piece = shard.last
            _finish(draft, shard.report, piece, skip)
            draft.rename(shards / f"{len(done):06}")
            done.append(shards / f"{len(done):06}")
            if not more:
                break
    report: Report = {split: Counts() for split in SPLITS}
    for path in done:
        for split, counts in read_report(path).items():
            report[split].merge(counts)
    corpus.refuse_empty(
        {split: counts.documents for split, counts in report.items()},
        sum(counts.filtered for counts in report.values()),
        sum(counts.unknown for counts in report.values()),
    )
    _concatenate(done, folder, corpus, tokenizer)
    _write_report(folder / REPORT, report, {})
    shutil.rmtree(shards)


class _Shard:
    """Writer of one shard.

    Attributes:
        report: counts of its rows.
        last: index of the piece that its last row was read from.
        rows_of_last: number of its rows from that piece.
    """

    def __init__(
        self, folder: Path, corpus: Corpus, tokenizer: Tokenizer, *, drop: bool
    ) -> None:
        self._corpus = corpus
        self._tokenizer = tokenizer
        self._drop = drop
        self._writers = {
            (split, key): RaggedWriter(
                folder / f"{split}.{key}", _dtype(key, tokenizer)
            )
            for split in SPLITS
            for key in corpus.columns
        }
        self._places = {
            split: ArrayWriter(folder / f"{split}.places.npy", np.uint32)
            for split in SPLITS
        }
        self.report: Report = {split: Counts() for split in SPLITS}
        self.last: int | None = None
        self.rows_of_last = 0

    def __enter__(self) -> _Shard:
        return self

    def __exit__(self, *_: object) -> None:
        for rows in self._writers.values():
            rows.close()
        for places in self._places.values():
            places.close()

    def fill(self, rows: Iterator[Row], progress: TokenisingProgress) -> bool:
        """Take rows until the shard is full; returns whether more may follow."""
        characters = waiting = 0
        batch: list[Row] = []
        for row in rows:
            progress.row(row)
            if row.piece != self.last:
                self.last, self.rows_of_last = row.piece, 0
            self.rows_of_last += 1
            if row.texts is None:
                self.report[row.split].filtered += 1
                continue
            batch.append(row)
            waiting += sum(map(len, row.texts))
            if waiting >= CHARACTERS_AT_ONCE or len(batch) == AT_ONCE:
                progress.tokens(self._write(batch))
                batch, characters, waiting = [], characters + waiting, 0
                if characters >= SHARD_CHARACTERS:
                    return True
        progress.tokens(self._write(batch))
        return False

    def _write(self, batch: list[Row]) -> int:
        """Encode and write rows; returns their number of tokens."""
        found: dict[str, list[list[int] | None]] = {}
        for column, key in enumerate(self._corpus.columns):
            if key != "given":
                texts = [(row.texts or ())[column] for row in batch]
                found[key] = self._encode(texts, batch)
        kept: dict[tuple[str, str], list[list[int]]] = {
            writer: [] for writer in self._writers
        }
        places: dict[str, list[int]] = {split: [] for split in SPLITS}
        for number, row in enumerate(batch):
            counts = self.report[row.split]
            ids = {key: rows[number] for key, rows in found.items()}
            known = {key: of_key for key, of_key in ids.items() if of_key is not None}
            if len(known) < len(ids):
                counts.unknown += 1
                continue
            if "given" in self._corpus.columns and row.texts is not None:
                known["given"] = _given(
                    row.texts[self._corpus.columns.index("given")],
                    len(known["tokens"]),
                    self._corpus.place(row.piece, row.number),
                )
            for key, of_key in known.items():
                kept[row.split, key].append(of_key)
                counts.add(key, len(of_key))
            counts.documents += 1
            places[row.split] += (row.piece, row.number)
        for writer, of_writer in kept.items():
            self._writers[writer].append(of_writer)
        for split, numbers in places.items():
            self._places[split].extend(np.array(numbers, np.uint32))
        return sum(len(row) for rows in kept.values() for row in rows)

    def _encode(self, texts: list[str], batch: list[Row]) -> list[list[int] | None]:
        if self._drop:
            return self._tokenizer.encode_known(texts)

        def place(number: int) -> str:
            return self._corpus.place(batch[number].piece, batch[number].number)

        return list(self._tokenizer.encode_all(texts, place))


def _finished(shards: Path) -> tuple[list[Path], int, int]:
    """Intact shards, and the piece and row to continue with."""
    done: list[Path] = []
    piece = skip = 0
    for path in sorted(shards.iterdir()):
        report = _checked(path) if path.name == f"{len(done):06}" else None
        if report is None:
            shutil.rmtree(path)
            continue
        done.append(path)
        piece, skip = report["piece"], report["skip"]
    return done, piece, skip


def _checked(shard: Path) -> dict[str, Any] | None:
    """Report of a shard if its files are intact, else None."""
    try:
        report = read_object(shard / REPORT, "", SHARD)
        files: dict[str, str] = report["files"]
        same = all(file_digest(shard / name) == found for name, found in files.items())
    except (OSError, UserError):
        return None
    return report if same else None


def _finish(shard: Path, report: Report, piece: int, skip: int) -> None:
    """Write the report of a shard, with its digests and the start of the next one."""
    files = {path.name: file_digest(path) for path in sorted(shard.iterdir())}
    more = {"piece": piece, "skip": skip, "files": files}
    _write_report(shard / REPORT, report, more)


def _write_report(path: Path, report: Report, more: Mapping[str, Any]) -> None:
    splits = {split: asdict(counts) for split, counts in report.items()}
    path.write_text(json.dumps({"splits": splits, **more}), encoding="utf-8")


def _concatenate(
    shards: list[Path], folder: Path, corpus: Corpus, tokenizer: Tokenizer
) -> None:
    """Concatenate the shards."""
    for split in SPLITS:
        for key in corpus.columns:
            name = f"{split}.{key}"
            with RaggedWriter(folder / name, _dtype(key, tokenizer)) as writer:
                for shard in shards:
                    writer.extend(Ragged(shard / name))
        places = ArrayWriter(folder / f"{split}.places.npy", np.uint32)
        for shard in shards:
            for numbers in stored(shard / f"{split}.places.npy"):
                places.extend(numbers)
        places.close()


def _dtype(key: str, tokenizer: Tokenizer) -> npt.DTypeLike:
    return id_type(1 if key == "given" else tokenizer.vocab_size - 1)


def _given(text: str, count: int, place: str) -> list[int]:
    """Parse a text of 0 and 1 into flags."""
    if len(text) != count or not set(text) <= {"0", "1"}:
        raise UserError(
            f"{place}: `given` is {show(text)}, and the row has {count} tokens",
            "write 1 for each given token and 0 for each hole",
        )
    return [int(c) for c in text]

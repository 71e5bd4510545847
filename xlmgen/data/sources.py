"""The texts of a task's examples, from a generator or from local files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from xlmgen.data import cache, readers
from xlmgen.errors import UserError
from xlmgen.manifest import file_digest
from xlmgen.tasks import generators


@dataclass(frozen=True)
class Texts:
    """One split before it is tokenised.

    Args:
        columns: the same number of texts under every key of an example.
        places: where each row was read, such as `notes.csv:17`; none for generated
            ones.
    """

    columns: Mapping[str, list[str]]
    places: list[str] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def place(self, row: int, split: str) -> str:
        """Where a row comes from, for an error."""
        return self.places[row] if self.places else f"row {row} of the {split} split"


def fingerprint(source: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What changes when the texts may have changed: settings, contents and code."""
    if "generator" in source:
        modules = generators.modules(source["generator"])
        return {"source": dict(source), "code": list(map(code_digest, modules))}
    contents = {
        split: [
            (path.suffix, file_digest(path))
            for path in readers.expand(paths, folder, split)
        ]
        for split, paths in source["files"].items()
    }
    settings = {key: value for key, value in source.items() if key != "files"}
    return {"source": settings, "files": contents, "code": code_digest(readers)}


def read(
    source: Mapping[str, Any], columns: Iterable[str], folder: Path
) -> dict[str, Texts]:
    """The texts of every split.

    Args:
        source: the mapping under `source:`, defaults filled in.
        columns: the keys of an example.
        folder: what relative paths start from.

    Raises:
        UserError: a file cannot be read, a column is not there, a split is empty.
    """
    if "generator" in source:
        splits = generators.module(source["generator"]).records(source)
        return {split: Texts(found) for split, found in splits.items()}
    names = {key: source["columns"][key] for key in columns}
    found = {
        split: _from_files(source, names, readers.expand(paths, folder, split))
        for split, paths in source["files"].items()
    }
    missing = [split for split in ("validation", "test") if split not in found]
    shares = {split: source["shares"][split] for split in missing}
    found |= divide(found["train"], shares, source["seed"])
    for split, texts in found.items():
        if not len(texts):
            raise UserError(
                f"source: the {split} split has no examples",
                "name files with more in them, change `unit`, or mend the shares",
            )
    return found


def divide(texts: Texts, shares: Mapping[str, float], seed: int) -> dict[str, Texts]:
    """Cut shares out of the train split: the splits of `shares`, and what is left.

    Rows are ordered by a hash of the seed and their text. Each share takes the first
    so many of the different texts, at least one, and every row that has one of them,
    so that no text is in two splits.
    """
    keys = [_key(row, seed) for row in zip(*texts.columns.values(), strict=True)]
    different = sorted(set(keys))
    owner: dict[bytes, str] = {}
    start = 0
    for split, share in shares.items():
        stop = start + max(1, round(share * len(different)))
        owner.update(dict.fromkeys(different[start:stop], split))
        start = stop
    return {
        split: _rows(
            texts, [i for i, key in enumerate(keys) if owner.get(key, "train") == split]
        )
        for split in (*shares, "train")
    }


def _key(row: tuple[str, ...], seed: int) -> bytes:
    # JSON keeps the boundaries between the columns.
    return bytes.fromhex(cache.digest([seed, *row]))


def _rows(texts: Texts, rows: list[int]) -> Texts:
    return Texts(
        {key: [column[i] for i in rows] for key, column in texts.columns.items()},
        texts.places and [texts.places[i] for i in rows],
    )


def _from_files(
    source: Mapping[str, Any], names: Mapping[str, str], paths: list[Path]
) -> Texts:
    columns: dict[str, list[str]] = {key: [] for key in names}
    places: list[str] = []
    for path in paths:
        for number, fields in _read_file(source, names, path):
            for key, value in fields.items():
                columns[key].append(value)
            places.append(f"{path}:{number}")
    return Texts(columns, places)


def _read_file(
    source: Mapping[str, Any], names: Mapping[str, str], path: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    form = source["format"]
    if form == "auto":
        form = path.suffix.removeprefix(".")
    if form == "txt":
        if list(names) != ["tokens"]:
            raise UserError(
                f"{path}: a .txt file holds texts for the layout lm only",
                f"give the columns {', '.join(names)} in a .jsonl or .csv file",
            )
        lines = readers.read_txt(path, source["unit"])
        return ((number, {"tokens": text}) for number, text in lines)
    if form not in readers.TABLES:
        raise UserError(
            f"{path}: the format of a file called *{path.suffix} is not known",
            f"set source.format to txt, {', '.join(readers.TABLES)}",
        )
    return readers.read_table(path, form, names)


def code_digest(module: ModuleType) -> str:
    """SHA-256 of a module's source: what it makes may change with it."""
    assert module.__file__ is not None
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()

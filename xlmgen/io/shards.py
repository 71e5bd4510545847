"""Safetensors files of a checkpoint: locate tensors without reading them.

Only headers are read, so that checkpoints of any size are checked quickly and before
anything is written. Does not use torch and never reads pickles.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from xlmgen.errors import UserError
from xlmgen.io.files import visible, write_json
from xlmgen.io.json_input import InvalidJson, Schema, parse_json, read_object

PATTERN, INDEX = "model{suffix}.safetensors", "model.safetensors.index.json"
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4}
"""Bytes per number of common types."""
BUFFER = 1 << 24  # bytes per copy
LONGEST_HEADER = 100_000_000  # bytes, the format's own limit
INDEX_SCHEMA: Schema = {
    "required": ["weight_map"],
    "properties": {
        "weight_map": {"type": "object", "additionalProperties": {"type": "string"}}
    },
}
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Entry:
    """Location of a tensor.

    Args:
        file: the safetensors file.
        start: offset in the file, in bytes.
        shape: of the tensor.
        dtype: name in the format, such as `BF16`.
        nbytes: size in bytes.
    """

    file: Path
    start: int
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


@dataclass(frozen=True)
class Shards:
    """Tensors of a folder by name, in the order of their files."""

    folder: Path
    entries: Mapping[str, Entry]

    @classmethod
    def open(cls, folder: Path, names: Sequence[str] | None = None) -> Shards:
        """Locate the tensors of a folder: one file, or several, perhaps with an index.

        Args:
            names: files to search; all by default.

        Raises:
            UserError: there are no weights, a file is damaged, or the index and the
                files differ.
        """
        index = _read_index(folder)
        if names is not None:
            files = [folder / name for name in names]
        elif index:
            files = [folder / name for name in sorted(set(index.values()))]
        else:
            files = visible(folder, "*.safetensors")
        if not files:
            raise _without_weights(folder)
        entries: dict[str, Entry] = {}
        for file in files:
            for name, entry in read_header(file):
                if name in entries:
                    raise UserError(
                        f"{name} is in {entries[name].file.name} and in {file.name}",
                        f"a tensor must be in one file; restore the files of {folder}",
                    )
                entries[name] = entry
        _compare_with_index(folder, index, entries)
        return cls(folder, entries)

    @property
    def files(self) -> list[Path]:
        """Its files, in order."""
        return list(dict.fromkeys(entry.file for entry in self.entries.values()))


def count_numbers(file: Path) -> int:
    """Count the numbers in all tensors of a file; tied tensors are stored once.

    Raises:
        UserError: see `read_header`.
    """
    return sum(math.prod(entry.shape) for _, entry in read_header(file))


def read_header(file: Path) -> Iterator[tuple[str, Entry]]:
    """Read the location of every tensor in a file.

    Raises:
        UserError: the file is missing, not a safetensors file, or truncated.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 0 < length <= min(LONGEST_HEADER, size - 8):
                raise _damaged(file, "it is not a safetensors file, or is truncated")
            header = parse_json(stream.read(length))
    except OSError as error:
        raise _damaged(file, error.strerror or "it cannot be read") from error
    except InvalidJson as error:
        raise _damaged(file, f"its header {error}") from error
    end = 8 + length
    found = [(name, _entry(file, name, end, info)) for name, info in _tensors(header)]
    for name, entry in sorted(found, key=lambda pair: (pair[1].start, pair[1].nbytes)):
        numbers = math.prod(entry.shape) * WIDTHS.get(entry.dtype, 0)
        if entry.start != end or numbers not in (0, entry.nbytes):
            raise _damaged(file, f"its header is damaged at {name}")
        end += entry.nbytes
    if size != end:
        raise _damaged(file, f"it is truncated to {size} of {end} bytes")
    yield from found


def _tensors(header: Any) -> Iterator[tuple[str, Any]]:
    """Return the entries of a header's tensors; empty if it is not an object."""
    if isinstance(header, dict):
        yield from ((n, info) for n, info in header.items() if n != "__metadata__")


def _entry(file: Path, name: str, start: int, info: Any) -> Entry:
    """Locate a tensor; `start` is the offset of the data in the file."""
    match info:
        case {
            "data_offsets": [int(first), int(last)],
            "shape": [*shape],
            "dtype": str(),
        }:
            if all(type(n) is int and n >= 0 for n in (first, last - first, *shape)):
                nbytes = last - first
                return Entry(file, start + first, tuple(shape), info["dtype"], nbytes)
    raise _damaged(file, f"its header is damaged at {name}")


def compare(
    entries: Mapping[str, Entry],
    expected: Mapping[str, tuple[int, ...]],
    optional: frozenset[str] = frozenset(),
) -> list[str]:
    """Describe differences of names and shapes between a checkpoint and a model.

    Args:
        expected: shape of every parameter by name.
        optional: names that may be missing because another tensor is tied to them.
    """
    missing = [
        f"missing {name}"
        for name in expected
        if name not in entries and name not in optional
    ]
    left_over = [f"unexpected {name}" for name in entries if name not in expected]
    shapes = [
        f"{name} has shape {list(entry.shape)}, not {list(expected[name])}"
        for name, entry in entries.items()
        if name in expected and entry.shape != tuple(expected[name])
    ]
    return missing + left_over + shapes


def write_shards(folder: Path, shards: Shards, limit: int) -> None:
    """Copy all tensors into files of at most `limit` bytes.

    Several files get an index. Data is copied through a buffer, so memory is bounded.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    plan = split_state_dict_into_shards_factory(
        dict(shards.entries),
        get_storage_size=lambda entry: entry.nbytes,
        filename_pattern=PATTERN,
        max_shard_size=limit,
    )
    for file, names in plan.filename_to_tensors.items():
        _write_file(folder / file, shards.entries, names)
    if plan.is_sharded:
        places = plan.tensor_to_filename
        write_json(folder / INDEX, {"metadata": plan.metadata, "weight_map": places})


def header(
    tensors: Mapping[str, tuple[str, Sequence[int], int]],
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Build the header of a safetensors file, which the tensors follow in order.

    Args:
        tensors: type, shape and size in bytes by name.
        metadata: further entries.
    """
    content: dict[str, object] = {"__metadata__": {"format": "pt", **(metadata or {})}}
    end = 0
    for name, (dtype, shape, nbytes) in tensors.items():
        content[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [end, end + nbytes],
        }
        end += nbytes
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # pad, so that the data is aligned
    return struct.pack("<Q", len(text)) + text


def _write_file(file: Path, entries: Mapping[str, Entry], names: Sequence[str]) -> None:
    places = {name: entries[name] for name in names}
    with file.open("wb") as target:
        target.write(
            header({n: (e.dtype, e.shape, e.nbytes) for n, e in places.items()})
        )
        for name in names:
            _copy(entries[name], target)


def _copy(entry: Entry, target: IO[bytes]) -> None:
    with entry.file.open("rb") as source:
        source.seek(entry.start)
        left = entry.nbytes
        while left:
            piece = source.read(min(left, BUFFER))
            if not piece:
                raise _damaged(entry.file, "it is truncated")
            target.write(piece)
            left -= len(piece)


def _read_index(folder: Path) -> dict[str, str]:
    """Read the index: file by tensor; empty without an index."""
    path = folder / INDEX
    if not path.is_file():
        return {}
    fix = "restore it from the source"
    named: dict[str, str] = read_object(path, fix, INDEX_SCHEMA)["weight_map"]
    for file in sorted(set(named.values())):
        if Path(file).name != file:
            raise UserError(
                f"{path}: {file!r} is not the name of a file in its folder", fix
            )
    return named


def _compare_with_index(
    folder: Path, index: Mapping[str, str], entries: Mapping[str, Entry]
) -> None:
    wrong = [
        name
        for name in {**index, **entries}
        if index
        if name not in entries
        or name not in index
        or entries[name].file.name != index[name]
    ]
    if wrong:
        raise UserError(
            f"{folder / INDEX} and the files beside it differ in {', '.join(wrong)}",
            "restore both from the source",
        )


def _without_weights(folder: Path) -> UserError:
    pickled = sorted(f.name for kind in PICKLES for f in visible(folder, kind))
    if pickled:
        return UserError(
            f"{folder} holds {pickled[0]}, which is a pickle: reading one can run code",
            "if you trust it, convert it to safetensors and import that",
        )
    return UserError(
        f"{folder} has no weights: no file ends in .safetensors",
        "name the folder of a checkpoint, with its config.json",
    )


def _damaged(file: Path, what: str) -> UserError:
    return UserError(f"{file}: {what}", "restore the file from its source")

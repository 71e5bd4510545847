"""Tokenised examples: rows of different lengths in flat memory-mapped arrays."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Example = dict[str, Ints]
AT_ONCE = 1 << 20  # numbers copied at a time


def id_type(largest: int) -> npt.DTypeLike:
    """The smallest unsigned type for ids up to `largest`."""
    return np.min_scalar_type(largest)


class Ragged:
    """Rows of ids, concatenated in one file with their offsets in another.

    Only the path is pickled: workers of a data loader map the same files.

    Args:
        path: common path of the two files, without `.ids.npy` and `.offsets.npy`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def write(
        path: Path, rows: Iterable[Sequence[int]], dtype: npt.DTypeLike = np.int32
    ) -> None:
        """Write rows that `Ragged(path)` reads."""
        with RaggedWriter(path, dtype) as writer:
            writer.append(list(rows))

    @cached_property
    def flat(self) -> npt.NDArray[np.integer[Any]]:
        """All rows concatenated, in the smallest type that fits the largest id."""
        return _map(f"{self.path}.ids.npy")

    @cached_property
    def offsets(self) -> Ints:
        """(rows + 1,) row i is `flat[offsets[i] : offsets[i + 1]]`."""
        offsets: Ints = _map(f"{self.path}.offsets.npy")
        return offsets

    @property
    def lengths(self) -> Ints:
        """(rows,) number of ids in every row."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.flat[self.offsets[row] : self.offsets[row + 1]].astype(np.int64)

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}


class RaggedWriter:
    """Writer of `Ragged` files that keeps no rows in memory.

    Args:
        path: as of `Ragged`.
        dtype: of the ids.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self._ids = ArrayWriter(Path(f"{path}.ids.npy"), dtype)
        self._offsets = ArrayWriter(Path(f"{path}.offsets.npy"), np.int64)
        self._offsets.extend(np.zeros(1, np.int64))

    def append(self, rows: Sequence[Sequence[int]]) -> None:
        """Append rows."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        self._offsets.extend(self._ids.count + np.cumsum(lengths))
        total = int(lengths.sum())
        ids = np.fromiter(chain.from_iterable(rows), self._ids.dtype, total)
        self._ids.extend(ids)

    def extend(self, rows: Ragged) -> None:
        """Append all rows of another file."""
        before = self._ids.count
        for ids in stored(Path(f"{rows.path}.ids.npy")):
            self._ids.extend(ids)
        start = 1  # the first offset is 0, which this file has already
        for offsets in stored(Path(f"{rows.path}.offsets.npy")):
            self._offsets.extend(offsets[start:] + before)
            start = 0

    def close(self) -> None:
        """Finish both files."""
        self._ids.close()
        self._offsets.close()

    def __enter__(self) -> "RaggedWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ArrayWriter:
    """Writer of a one-dimensional `.npy` file whose length is not known in advance.

    Args:
        path: the file.
        dtype: of its numbers.
    """

    HEAD = 128  # bytes of the header; the format requires a multiple of 64

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self.count = 0
        self._file = path.open("wb", buffering=1 << 16)
        self._file.write(self._header())

    def extend(self, numbers: npt.NDArray[Any]) -> None:
        """Append numbers."""
        self._file.write(numbers.astype(self.dtype, copy=False).tobytes())
        self.count += len(numbers)

    def close(self) -> None:
        """Write the final length into the header."""
        if not self._file.closed:
            self._file.seek(0)
            self._file.write(self._header())
            self._file.close()

    def _header(self) -> bytes:
        magic = np.lib.format.magic(1, 0)
        form = np.lib.format.dtype_to_descr(self.dtype)
        fields = {"descr": form, "fortran_order": False, "shape": (self.count,)}
        size = self.HEAD - len(magic) - 2
        text = f"{str(fields).ljust(size - 1)}\n".encode("latin-1")
        return magic + size.to_bytes(2, "little") + text


def stored(path: Path) -> Iterator[npt.NDArray[Any]]:
    """Read a file of `ArrayWriter` in chunks, without mapping it into memory."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (count,), _, dtype = np.lib.format.read_array_header_1_0(file)
        while count > 0:
            numbers = np.fromfile(file, dtype, min(count, AT_ONCE))
            count -= len(numbers)
            yield numbers


class Rows(Sequence[Example]):
    """Examples that are read by their row number."""

    @abstractmethod
    def row(self, row: int) -> Example:
        """Read the example of a row, 0 ≤ `row` < `len(self)`."""

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.row(index % len(self))


class Examples(Rows):
    """The examples of one split, each a dict of one-dimensional integer arrays.

    Args:
        columns: source of each key of an example.
        rows: indices of the rows to include, all by default.
        longest: rows are truncated to this many ids.
    """

    def __init__(
        self,
        columns: Mapping[str, Ragged],
        rows: Ints | None = None,
        longest: int | None = None,
    ) -> None:
        self.columns = dict(columns)
        self.rows = rows
        self.longest = longest

    @property
    def lengths(self) -> Ints:
        """(rows,) tokens of every row, prompt and target together."""
        found = sum(
            np.minimum(column.lengths, self.longest or np.iinfo(np.int64).max)
            for name, column in self.columns.items()
            if name != "given"  # a flag of each token, not a token
        )
        assert isinstance(found, np.ndarray)
        return found if self.rows is None else found[self.rows]

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return len(next(iter(self.columns.values())))

    def row(self, row: int) -> Example:
        if self.rows is not None:
            row = int(self.rows[row])
        return {
            name: column[row][: self.longest] for name, column in self.columns.items()
        }


def _map(path: str) -> npt.NDArray[Any]:
    """Map a file's array into memory; a plain `ndarray` view slices faster."""
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)

"""Tokenised examples: rows of different lengths in flat memory-mapped arrays."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Example = dict[str, Ints]


class Ragged:
    """Rows of ids end to end in one file, with where each begins in another.

    Pickling keeps the path alone: a data loader's worker maps the same files.

    Args:
        path: of the two files, without `.ids.npy` and `.offsets.npy`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def write(path: Path, rows: Iterable[Sequence[int]]) -> None:
        """Save the rows so that `Ragged(path)` reads them."""
        arrays = [np.asarray(row, dtype=np.int32) for row in rows]
        lengths = np.fromiter((len(row) for row in arrays), np.int64, len(arrays))
        flat = np.concatenate(arrays) if arrays else np.empty(0, np.int32)
        np.save(f"{path}.ids.npy", flat, allow_pickle=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        np.save(f"{path}.offsets.npy", offsets, allow_pickle=False)

    @cached_property
    def flat(self) -> npt.NDArray[np.int32]:
        """All rows end to end."""
        ids: npt.NDArray[np.int32] = _map(f"{self.path}.ids.npy")
        return ids

    @cached_property
    def offsets(self) -> Ints:
        """(rows + 1,) row i is `flat[offsets[i] : offsets[i + 1]]`."""
        offsets: Ints = _map(f"{self.path}.offsets.npy")
        return offsets

    @property
    def lengths(self) -> Ints:
        """(rows,) ids in every row."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.flat[self.offsets[row] : self.offsets[row + 1]].astype(np.int64)

    def __getstate__(self) -> dict[str, Path]:
        return {"path": self.path}


class Examples(Sequence[Example]):
    """The examples of one split, each a dict of one-dimensional integer arrays.

    Args:
        columns: what each key of an example is read from.
        rows: the rows to show, all by default.
        longest: rows are cut to so many ids.
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

    def __len__(self) -> int:
        if self.rows is not None:
            return len(self.rows)
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        row = index % len(self)
        if self.rows is not None:
            row = int(self.rows[row])
        return {
            name: column[row][: self.longest] for name, column in self.columns.items()
        }


def _map(path: str) -> npt.NDArray[Any]:
    """A file's array, read when it is looked at; as a plain array, slices are cheap."""
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)

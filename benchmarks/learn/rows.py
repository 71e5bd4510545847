"""The rows that a run is trained on, in a file that needs no xlmgen to be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
PARTS = ("prompt", "target")


@dataclass(frozen=True)
class Pairs:
    """Prompts and targets of a split, as ids of content tokens, counted from 0."""

    prompt: Sequence[list[int]]
    target: Sequence[list[int]]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Rows:
    """What a run is trained and measured on.

    Args:
        splits: `train`, `validation` and `test`.
        order: (steps, rows of a batch) row numbers of the training split.
        learning_rate: (steps,) of every step.
    """

    splits: Mapping[str, Pairs]
    order: Ints
    learning_rate: npt.NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write the file, which is there as a whole or not at all."""
        arrays: dict[str, Any] = {
            "order": self.order.astype(np.int32),
            "learning_rate": self.learning_rate,
        }
        for split, pairs in self.splits.items():
            for part in PARTS:
                rows = getattr(pairs, part)
                lengths = [len(row) for row in rows]
                arrays[f"{split}/{part}"] = np.concatenate(rows).astype(np.int32)
                arrays[f"{split}/{part}/lengths"] = np.array(lengths, np.int32)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        draft.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Rows":
        """Read the file."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        splits = {name.split("/")[0] for name in arrays if "/" in name}
        return cls(
            {
                split: Pairs(
                    *(
                        _cut(
                            arrays[f"{split}/{part}"],
                            arrays[f"{split}/{part}/lengths"],
                        )
                        for part in PARTS
                    )
                )
                for split in splits
            },
            arrays["order"].astype(np.int64),
            arrays["learning_rate"],
        )


def _cut(flat: Ints, lengths: Ints) -> list[list[int]]:
    """Rows that lie end to end, one by one."""
    return [row.tolist() for row in np.split(flat, np.cumsum(lengths)[:-1])]

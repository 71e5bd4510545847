"""A training batch read by its keys: what is at every place, and what is asked there.

Shapes: B rows, L positions, A positions of `input_ids` where the batch has a clean copy
of the rows beside it. The keys are those of docs/architecture.md; a batch need not have
more than `input_ids`, and which keys it has is all that is known of its family.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.runtime.special_tokens import SpecialTokens

PER_ROW = ("t", "num_tokens", "num_dropped", "answer_length")
"""Keys that may have a number for every row."""


class Kind(StrEnum):
    """What a place is, as the model sees it."""

    given = "given"
    """A token that is never asked for: a prompt, or what is around a hole."""
    seen = "seen"
    """A token of the answer, shown as it is."""
    hidden = "hidden"
    """MASK in the place of a token that is to be predicted."""
    changed = "changed"
    """Chosen to be predicted, and not hidden: another token, or the token itself."""
    special = "special"
    padding = "padding"
    """Neither attended nor scored."""
    missing = "missing"
    """No place of the input: tokens were taken out here."""
    gap = "gap"
    """No place of the input: tokens could be missing here, and none is."""


@dataclass(frozen=True)
class Place:
    """One place of a row.

    Args:
        column: where it is in `input_ids`; None where it is not there: in the context
            of a clean copy, and where tokens are missing.
        input: the id that the model sees.
        clean: the id in the clean copy.
        target: the id to be predicted here; of a missing token, the token itself.
        missing: how many tokens are missing here, where the batch says no more.
        t: the time of this place, where times differ within a row.
    """

    kind: Kind
    column: int | None = None
    input: int | None = None
    clean: int | None = None
    target: int | None = None
    missing: int | None = None
    t: float | None = None


@dataclass
class Reading:
    """What the keys of a batch say of its places; every tensor is (B, A).

    Args:
        input_ids: what the model sees.
        clean_ids: (B, L) the clean copy, whose last columns are those of `input_ids`.
        padding: (B, L) or (B, A), as wide as `clean_ids` where there are any.
        predicted: where something is to be predicted.
        masked: whether those places were chosen to be corrupted.
        target_ids: what is to be predicted there.
        answer: what is not given, as far as the batch tells.
        free: behind which tokens others may be missing.
        missing: how many are missing behind each.
        missing_ids: which, by flat position; empty where the batch does not tell.
        times: (B,) or (B, A).
        used: the keys that this was read from.
    """

    input_ids: Tensor
    clean_ids: Tensor | None
    padding: Tensor
    predicted: Tensor
    masked: bool
    target_ids: Tensor | None
    answer: Tensor
    free: Tensor
    missing: Tensor
    missing_ids: Mapping[int, list[int]]
    times: Tensor | None
    used: set[str] = field(default_factory=set)

    @property
    def context(self) -> int:
        """Columns of the clean copy before those of `input_ids`."""
        if self.clean_ids is None:
            return 0
        return int(self.clean_ids.shape[1] - self.input_ids.shape[1])


def read(batch: Any, tokens: SpecialTokens) -> Reading | None:
    """Read a training batch; None where it has no `input_ids` (B, L)."""
    keys = _Keys(batch if isinstance(batch, Mapping) else {})
    input_ids = keys.tensor("input_ids", 2)
    if input_ids is None:
        return None
    shape = input_ids.shape
    clean_ids = keys.clean(shape)
    masked, scored = keys.places("masked_at", shape), keys.places("scored_at", shape)
    targets = keys.grid("target_ids", shape)
    if targets is None and clean_ids is not None:
        targets = clean_ids[:, clean_ids.shape[1] - shape[1] :]
    predicted = torch.zeros(shape, dtype=torch.bool)
    for there in (masked, scored):
        if there is not None:
            predicted = predicted | there
    if masked is None and scored is None and targets is not None:
        predicted = targets >= 0

    free, missing, missing_ids = _gaps(keys, shape)
    answer = keys.grid("maskable", shape)
    if answer is None:
        answer = free | (F.pad(predicted[:, :-1], (1, 0)) if masked is None else masked)

    if "attention_mask" in keys.batch:
        wide = input_ids if clean_ids is None else clean_ids
        attended = keys.mask("attention_mask", wide.shape)
        padding = torch.zeros_like(wide, dtype=torch.bool)
        if attended is not None:
            padding = ~attended.bool()
    else:  # a causal model does not look at what is on the right
        keys.mask("documents", shape)
        idle = (input_ids == tokens.pad) & ~predicted & ~answer
        padding = idle.flip(1).long().cumprod(1).flip(1).bool()
    times = keys.grid("t", shape)
    if times is None:
        times = keys.tensor("t", 1)
    return Reading(
        input_ids,
        clean_ids,
        padding,
        predicted,
        masked is not None,
        targets,
        answer.bool(),
        free,
        missing,
        missing_ids,
        times,
        keys.used,
    )


def places(reading: Reading, row: int, tokens: SpecialTokens) -> Iterator[Place]:
    """Every place of a row from left to right, missing tokens among them."""
    context, width = reading.context, reading.input_ids.shape[1]
    padding = reading.padding[row].tolist()
    before = [] if reading.clean_ids is None else reading.clean_ids[row].tolist()
    special = {tokens.pad, tokens.bos, tokens.eos, tokens.mask, tokens.cls}
    for id_, unseen in zip(before[:context], padding, strict=False):
        kind = Kind.special if id_ in special else Kind.given
        yield Place(Kind.padding if unseen else kind, clean=id_)
    for column in range(width):
        id_ = int(reading.input_ids[row, column])
        predicted = bool(reading.predicted[row, column])
        target = reading.target_ids
        if padding[context + column] and not predicted:
            kind = Kind.padding
        elif predicted and reading.masked:
            kind = Kind.hidden if id_ == tokens.mask else Kind.changed
        elif id_ in special:
            kind = Kind.special
        else:
            kind = Kind.seen if reading.answer[row, column] else Kind.given
        yield Place(
            kind,
            column,
            id_,
            before[context + column] if before else None,
            int(target[row, column]) if predicted and target is not None else None,
            t=_time(reading, row, column),
        )
        count = int(reading.missing[row, column])
        if ids := reading.missing_ids.get(row * width + column):
            yield from (Place(Kind.missing, target=id_) for id_ in ids)
        elif count:
            yield Place(Kind.missing, missing=count)
        elif reading.free[row, column]:
            yield Place(Kind.gap, missing=0)


def numbers(
    reading: Reading, batch: Mapping[str, Any], tokens: SpecialTokens
) -> dict[str, float]:
    """What matters of a whole batch: shares from 0 to 1, counts and times."""
    said: dict[str, float] = {
        "rows": len(reading.input_ids),
        "positions": reading.input_ids[0].numel(),
        "padding": _share(reading.padding),
    }
    if reading.context:
        said["context"] = reading.context
    if reading.target_ids is not None:
        said["masked" if reading.masked else "scored"] = _share(reading.predicted)
    if "maskable" in reading.used:
        asked = reading.answer.sum().clamp(min=1)
        said["masked_of_answer"] = float(
            (reading.predicted & reading.answer).sum() / asked
        )
        if reading.target_ids is not None:
            pads = reading.answer & (reading.target_ids == tokens.pad)
            said["pads_of_answer"] = float(pads.sum() / asked)
    if reading.free.any() or reading.missing.any():
        said["missing"] = int(reading.missing.sum())
        for key in ("answer_length", "num_tokens"):
            if isinstance(whole := batch.get(key), Tensor):
                said["missing_of_answer"] = said["missing"] / max(1, int(whole.sum()))
    if reading.times is not None:
        times = reading.times
        if times.shape == reading.answer.shape and reading.answer.any():
            times = times[reading.answer]
        said["t_mean"] = times.float().mean().item()
        said["t_min"], said["t_max"] = times.min().item(), times.max().item()
    return said


class _Keys:
    """The keys of a batch, and which of them were as they are read here."""

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = batch
        self.used: set[str] = set()

    def tensor(self, key: str, dimensions: int) -> Tensor | None:
        """A tensor of so many dimensions."""
        value = self.batch.get(key)
        if not isinstance(value, Tensor) or value.ndim != dimensions:
            return None
        self.used.add(key)
        return value

    def grid(self, key: str, shape: torch.Size) -> Tensor | None:
        """A tensor of just this shape."""
        value = self.batch.get(key)
        return self.tensor(key, 2) if getattr(value, "shape", None) == shape else None

    def mask(self, key: str, shape: torch.Size) -> Tensor | None:
        """A tensor of just this shape, or None, which says something too."""
        if key in self.batch and self.batch[key] is None:
            self.used.add(key)
        return self.grid(key, shape)

    def clean(self, shape: torch.Size) -> Tensor | None:
        """The clean copy of rows that end where those of `input_ids` do."""
        value = self.batch.get("clean_ids")
        if not isinstance(value, Tensor) or value.ndim != 2:
            return None
        fits = value.shape[0] == shape[0] and value.shape[1] >= shape[1]
        return self.tensor("clean_ids", 2) if fits else None

    def indices(self, key: str, stop: int) -> Tensor | None:
        """Numbers from 0 to one less than `stop`."""
        value = self.batch.get(key)
        if not isinstance(value, Tensor) or value.dtype != torch.long:
            return None
        if bool(((value < 0) | (value >= stop)).any()):
            return None
        return self.tensor(key, 1)

    def places(self, key: str, shape: torch.Size) -> Tensor | None:
        """(B, A) bool, True at the flat positions that the key has."""
        flat = self.indices(key, shape.numel())
        if flat is None:
            return None
        there = torch.zeros(shape.numel(), dtype=torch.bool)
        there[flat] = True
        return there.view(shape)


def _gaps(
    keys: _Keys, shape: torch.Size
) -> tuple[Tensor, Tensor, Mapping[int, list[int]]]:
    """Where tokens may be missing, how many are, and which."""
    free = keys.places("slot_at", shape)
    if free is not None:
        slot_at = keys.batch["slot_at"]
        slots = keys.indices("target_slot", len(slot_at))
        at = slot_at[:0] if slots is None else slot_at[slots]
        dropped = keys.tensor("target_ids", 1)
        ids: dict[int, list[int]] = {}
        if dropped is not None and len(dropped) == len(at):
            for flat, id_ in zip(at.tolist(), dropped.tolist(), strict=True):
                ids.setdefault(flat, []).append(id_)
        return free, torch.bincount(at, minlength=shape.numel()).view(shape), ids
    free, missing = keys.grid("free", shape), keys.grid("missing", shape)
    nowhere = torch.zeros(shape, dtype=torch.long)
    return (
        (nowhere if free is None else free).bool(),
        nowhere if missing is None else missing,
        {},
    )


def _share(there: Tensor) -> float:
    return there.float().mean().item()


def _time(reading: Reading, row: int, column: int) -> float | None:
    times = reading.times
    if times is None or times.ndim != 2:
        return None
    return float(times[row, column])

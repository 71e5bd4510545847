"""Interpretation of a training batch by its keys: input, target and kind of each place.

Shapes: B rows, L positions, A positions of `input_ids` where the batch also has a clean
copy of the rows. The keys are those of docs/architecture.md. Only `input_ids` is
required, and nothing but the keys is known of the family.
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
"""Keys that may have one number per row."""


class Kind(StrEnum):
    """Kind of a place, from the model's view."""

    given = "given"
    """A given token that is not predicted: of a prompt, or around a hole."""
    seen = "seen"
    """A visible token of the answer."""
    hidden = "hidden"
    """MASK in place of a token to predict."""
    changed = "changed"
    """Selected or noised but not masked: a random token, or the token itself."""
    special = "special"
    padding = "padding"
    """A pad, neither attended nor scored."""
    missing = "missing"
    """Not a position of the input: tokens were removed here."""
    gap = "gap"
    """Not a position of the input: tokens could be missing here, but none is."""


@dataclass(frozen=True)
class Place:
    """One place of a row: a position, or missing tokens.

    Args:
        kind: of the place.
        column: in `input_ids`; None for missing tokens and for the context in a clean
            copy.
        input: the id that the model gets.
        clean: the id in the clean copy.
        target: the id to predict here; for a missing token, that token.
        missing: number of missing tokens, where their ids are unknown.
        t: noise time of this place, where times differ within a row.
        position: of the token in its sequence, in rows that are in another order.
        next_position: of the target, in such rows.
    """

    kind: Kind
    column: int | None = None
    input: int | None = None
    clean: int | None = None
    target: int | None = None
    missing: int | None = None
    t: float | None = None
    position: int | None = None
    next_position: int | None = None


@dataclass
class Reading:
    """Interpreted keys of a batch; every tensor is (B, A) unless noted.

    Args:
        input_ids: input of the model.
        clean_ids: (B, L) clean copy, whose last columns correspond to `input_ids`.
        padding: (B, L) if there is a clean copy, else (B, A).
        predicted: positions with a prediction.
        masked: whether those positions were selected for corruption.
        target_ids: ids to predict.
        answer: positions that are not given, as far as is known.
        free: tokens after which others may be missing.
        missing: number of tokens missing after each.
        missing_ids: their ids, by flat position; empty where unknown.
        times: (B,) or (B, A).
        position_ids: of the tokens in their sequences, in rows in another order.
        next_position_ids: of the targets, in such rows.
        used: the keys that were interpreted.
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
    position_ids: Tensor | None = None
    next_position_ids: Tensor | None = None
    used: set[str] = field(default_factory=set)

    @property
    def context(self) -> int:
        """Number of columns of the clean copy before those of `input_ids`."""
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
    masked, noised, scored = (
        keys.places(f"{word}_positions", shape)
        for word in ("masked", "noised", "scored")
    )
    masked = noised if masked is None else masked
    targets = keys.grid("target_ids", shape)
    if targets is None and clean_ids is not None:
        targets = clean_ids[:, clean_ids.shape[1] - shape[1] :]
    predicted = torch.zeros(shape, dtype=torch.bool)
    for marks in (masked, scored):
        if marks is not None:
            predicted = predicted | marks
    if masked is None and scored is None and targets is not None:
        predicted = targets >= 0

    free, missing, missing_ids = _gaps(keys, shape)
    answer = keys.grid("maskable", shape)
    if answer is None:
        answer = keys.grid("noisable", shape)
        keys.places("noisable_positions", shape)
    if answer is None:
        answer = free | (F.pad(predicted[:, :-1], (1, 0)) if masked is None else masked)

    if "attention_mask" in keys.batch:
        all_ids = input_ids if clean_ids is None else clean_ids
        attended = keys.mask("attention_mask", all_ids.shape)
        padding = torch.zeros_like(all_ids, dtype=torch.bool)
        if attended is not None:
            padding = ~attended.bool()
    else:  # a causal model has no mask: its pads are on the right
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
        keys.grid("position_ids", shape),
        keys.grid("next_position_ids", shape),
        keys.used,
    )


def places(reading: Reading, row: int, tokens: SpecialTokens) -> Iterator[Place]:
    """Places of a row from left to right, missing tokens included."""
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
            position=_entry(reading.position_ids, row, column),
            next_position=_entry(reading.next_position_ids, row, column)
            if predicted
            else None,
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
    """Summary of a batch: shares from 0 to 1, counts and times."""
    found: dict[str, float] = {
        "rows": len(reading.input_ids),
        "positions": reading.input_ids[0].numel(),
        "padding": _share(reading.padding),
    }
    if reading.context:
        found["context"] = reading.context
    noised = "noised_positions" in reading.used
    word = "noised" if noised else "masked"
    if reading.target_ids is not None:
        found[word if reading.masked else "scored"] = _share(reading.predicted)
    if reading.used & {"maskable", "noisable"}:
        asked = reading.answer.sum().clamp(min=1)
        found[f"{word}_of_answer"] = float(
            (reading.predicted & reading.answer).sum() / asked
        )
        if reading.target_ids is not None:
            pads = reading.answer & (reading.target_ids == tokens.pad)
            found["pads_of_answer"] = float(pads.sum() / asked)
    if reading.free.any() or reading.missing.any():
        found["missing"] = int(reading.missing.sum())
        for key in ("answer_length", "num_tokens"):
            if isinstance(lengths := batch.get(key), Tensor):
                found["missing_of_answer"] = found["missing"] / max(
                    1, int(lengths.sum())
                )
    if reading.times is not None:
        times = reading.times
        if times.shape == reading.answer.shape and reading.answer.any():
            times = times[reading.answer]
        found["t_mean"] = times.float().mean().item()
        found["t_min"], found["t_max"] = times.min().item(), times.max().item()
    return found


class _Keys:
    """Keys of a batch, with a record of those in an expected form."""

    def __init__(self, batch: Mapping[str, Any]) -> None:
        self.batch = batch
        self.used: set[str] = set()

    def tensor(self, key: str, dimensions: int) -> Tensor | None:
        """The tensor of a key, if it has this number of dimensions."""
        value = self.batch.get(key)
        if not isinstance(value, Tensor) or value.ndim != dimensions:
            return None
        self.used.add(key)
        return value

    def grid(self, key: str, shape: torch.Size) -> Tensor | None:
        """The tensor of a key, if it has exactly this shape."""
        value = self.batch.get(key)
        return self.tensor(key, 2) if getattr(value, "shape", None) == shape else None

    def mask(self, key: str, shape: torch.Size) -> Tensor | None:
        """As `grid`; None is a valid value of the key and recorded too."""
        if key in self.batch and self.batch[key] is None:
            self.used.add(key)
        return self.grid(key, shape)

    def clean(self, shape: torch.Size) -> Tensor | None:
        """Clean copy of the rows, whose last columns correspond to `input_ids`."""
        value = self.batch.get("clean_ids")
        if not isinstance(value, Tensor) or value.ndim != 2:
            return None
        fits = value.shape[0] == shape[0] and value.shape[1] >= shape[1]
        return self.tensor("clean_ids", 2) if fits else None

    def indices(self, key: str, stop: int) -> Tensor | None:
        """One-dimensional indices below `stop`."""
        value = self.batch.get(key)
        if not isinstance(value, Tensor) or value.dtype != torch.long:
            return None
        if bool(((value < 0) | (value >= stop)).any()):
            return None
        return self.tensor(key, 1)

    def places(self, key: str, shape: torch.Size) -> Tensor | None:
        """(B, A) bool, True at the flat positions of the key."""
        flat = self.indices(key, shape.numel())
        if flat is None:
            return None
        marks = torch.zeros(shape.numel(), dtype=torch.bool)
        marks[flat] = True
        return marks.view(shape)


def _gaps(
    keys: _Keys, shape: torch.Size
) -> tuple[Tensor, Tensor, Mapping[int, list[int]]]:
    """Positions after which tokens may be missing, their number, and their ids."""
    free = keys.places("slot_positions", shape)
    if free is not None:
        slot_positions = keys.batch["slot_positions"]
        slots = keys.indices("target_slot", len(slot_positions))
        positions = slot_positions[:0] if slots is None else slot_positions[slots]
        dropped = keys.tensor("target_ids", 1)
        ids: dict[int, list[int]] = {}
        if dropped is not None and len(dropped) == len(positions):
            for flat, id_ in zip(positions.tolist(), dropped.tolist(), strict=True):
                ids.setdefault(flat, []).append(id_)
        counts = torch.bincount(positions, minlength=shape.numel()).view(shape)
        return free, counts, ids
    free, missing = keys.grid("insertable", shape), keys.grid("missing", shape)
    zeros = torch.zeros(shape, dtype=torch.long)
    return (
        (zeros if free is None else free).bool(),
        zeros if missing is None else missing,
        {},
    )


def _share(marks: Tensor) -> float:
    return marks.float().mean().item()


def _entry(values: Tensor | None, row: int, column: int) -> int | None:
    return None if values is None else int(values[row, column])


def _time(reading: Reading, row: int, column: int) -> float | None:
    times = reading.times
    if times is None or times.ndim != 2:
        return None
    return float(times[row, column])

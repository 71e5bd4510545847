"""Layouts of examples as rows of a tensor: prompt, answer, special tokens and pads.

The collators of all families use these functions, so that families get the same tokens
at the same positions. All operations are vectorised over the batch: the cost is linear
in the number of tokens.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

__all__ = [
    "Bools",
    "Example",
    "Ints",
    "Layout",
    "attention_mask",
    "count",
    "flat_positions",
    "infill_layout",
    "lm_layout",
    "masked_prompt_layout",
    "prompt_layout",
    "seq2seq_layout",
    "with_token_at",
]

Example = Mapping[str, Any]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Layout(NamedTuple):
    """Batch of clean rows.

    Shapes: B rows, L positions.
    """

    ids: Tensor  # (B, L) int64
    attended: Tensor  # (B, L) bool, False on pads that are not part of the sequence
    target_mask: Tensor  # (B, L) bool, positions that the model generates
    documents: Tensor | None = None  # (B, L) int64, number of the document; 0 on pads

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, L) bool, or None when every position is attended; else `documents`."""
        return attention_mask(self.attended, self.documents)

    @property
    def starts(self) -> Tensor:
        """(B, L) bool, the first token of each row and of each of its documents."""
        starts = torch.zeros_like(self.attended)
        starts[:, 0] = True
        if self.documents is not None:
            starts[:, 1:] = self.documents[:, 1:] != self.documents[:, :-1]
        return starts

    def columns(self, which: slice) -> "Layout":
        """The same rows with these columns only."""
        documents = None if self.documents is None else self.documents[:, which]
        ids, attended, target_mask = (part[:, which] for part in self[:3])
        return Layout(ids, attended, target_mask, documents)


def attention_mask(attended: Tensor, documents: Tensor | None) -> Tensor | None:
    """Attention mask of a network; see `xlmgen.runtime.nn.attention.key_mask`."""
    if documents is not None:
        return documents
    return None if attended.numpy().all() else attended


def lm_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    bos: bool,
    eos: bool,
    pad_to_max_length: bool,
) -> Layout:
    """`[BOS] tokens [EOS]`, right-padded.

    With `pad_to_max_length` every row has the maximum length and its pads are ordinary
    tokens of the answer: so a fixed-length family learns the length. Otherwise rows are
    padded to the longest, and pads are neither attended nor part of the answer.

    Packed rows (`packed: True`) have their BOS and EOS already. The first BOS of a row
    is given, so that every family is scored on the same tokens. If they have
    `documents`, so is the BOS of each document.
    """
    packed = bool(examples) and bool(examples[0].get("packed", False))
    bos, eos = bos and not packed, eos and not packed
    flat, lengths = _flatten(examples, "tokens")
    stop = int(bos) + lengths + int(eos)
    width = _width(stop, max_length.answer, "sequence", fixed=pad_to_max_length)
    ids = np.full((len(lengths), width), tokens.pad, dtype=np.int64)
    _place(ids, flat, int(bos), lengths)
    if bos:
        ids[:, 0] = tokens.bos
    if eos:
        ids[np.arange(len(ids)), stop - 1] = tokens.eos
    if pad_to_max_length:
        stop = np.full_like(stop, width)
    attended = _span(width, 0, stop)
    target_mask = attended.copy()
    target_mask[:, : int(bos or packed)] = False
    if not packed or "documents" not in examples[0]:
        return _layout(ids, attended, target_mask)
    documents = np.zeros_like(ids)
    _place(documents, _flatten(examples, "documents")[0], 0, lengths)
    if pad_to_max_length:  # pads belong to the last document
        documents = np.maximum.accumulate(documents, axis=1)
    target_mask[:, 1:] &= documents[:, 1:] == documents[:, :-1]
    layout = _layout(ids, attended, target_mask)
    return layout._replace(documents=torch.from_numpy(documents))


def seq2seq_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    bos: bool,
    eos: bool,
    pad_to_max_length: bool,
) -> Layout:
    """`prompt [BOS] target [EOS]`, right-padded; the answer is `target [EOS]`.

    With `pad_to_max_length` every answer has the length `max_length.answer`, including
    pads.
    """
    prompts, prompt_lengths = _flatten(examples, "prompt")
    targets, target_lengths = _flatten(examples, "target")
    start = prompt_lengths + int(bos)
    stop = start + target_lengths + int(eos)
    _width(start, max_length.prompt, "prompt", fixed=False)
    _width(stop - start, max_length.answer, "answer", fixed=False)
    end = start + max_length.answer if pad_to_max_length else stop
    width = int(end.max(initial=0))
    ids = np.full((len(start), width), tokens.pad, dtype=np.int64)
    _place(ids, prompts, 0, prompt_lengths)
    _place(ids, targets, start, target_lengths)
    rows = np.arange(len(ids))
    if bos:
        ids[rows, start - 1] = tokens.bos
    if eos:
        ids[rows, stop - 1] = tokens.eos
    return _layout(ids, _span(width, 0, end), _span(width, start, end))


def infill_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    bos: bool,
    eos: bool,
    pad_to_max_length: bool,
) -> Layout:
    """`[BOS] tokens [EOS]` in which only the holes (`given` is 0) are the answer.

    BOS, EOS and, with `pad_to_max_length`, the pads are given, so that holes are
    predicted in the same context as in training. Packed rows (`packed: True`) have
    neither BOS nor EOS added.
    """
    packed = bool(examples) and bool(examples[0].get("packed", False))
    layout = lm_layout(
        examples,
        tokens,
        max_length,
        bos=bos,
        eos=eos,
        pad_to_max_length=pad_to_max_length,
    )
    flat, lengths = _flatten(examples, "given")
    given = np.ones(layout.ids.shape, dtype=np.int64)
    _place(given, flat, int(bos and not packed), lengths)
    return layout._replace(target_mask=torch.from_numpy(given == 0))


def prompt_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    bos: bool,
) -> Layout:
    """`prompt [BOS]`, padded on the left so that all rows end in the same column.

    Where no prompt length is set, a row is the beginning of a sequence, `[BOS] prompt`;
    for an example without a `prompt` it is BOS alone. `target_mask` is all False.
    """
    prompts, lengths = _flatten(examples, "prompt", default=())
    end = lengths + int(bos)
    opened = bos and not max_length.prompt
    _width(end, max_length.prompt or max_length.answer, "prompt", fixed=False)
    width = int(end.max(initial=0))
    ids = np.full((len(lengths), width), tokens.pad, dtype=np.int64)
    _place(ids, prompts, width - end + int(opened), lengths)
    if bos:
        ids[np.arange(len(ids)), width - end if opened else width - 1] = tokens.bos
    attended = _span(width, width - end, np.full_like(end, width))
    return _layout(ids, attended, np.zeros_like(attended))


def masked_prompt_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    bos: bool,
) -> Layout:
    """`prompt [BOS]`, then `max_length.answer` times MASK for the answer.

    Where no prompt length is set, a row is a sequence of the maximum length that begins
    with `[BOS] prompt`. Packed rows (`packed: True`) begin with BOS in any case.
    """
    bos = bos or (bool(examples) and bool(examples[0].get("packed", False)))
    prompts, lengths = _flatten(examples, "prompt", default=())
    start = lengths + int(bos)
    opened = bos and not max_length.prompt
    _width(start, max_length.prompt or max_length.answer, "prompt", fixed=False)
    stop = np.full_like(start, max_length.answer)
    if max_length.prompt:
        stop += start
    width = int(stop.max(initial=0))
    ids = np.full((len(lengths), width), tokens.pad, dtype=np.int64)
    _place(ids, prompts, int(opened), lengths)
    if bos:
        ids[np.arange(len(ids)), 0 if opened else start - 1] = tokens.bos
    target_mask = _span(width, start, stop)
    ids[target_mask] = tokens.mask
    return _layout(ids, _span(width, 0, stop), target_mask)


def flat_positions(marks: Tensor) -> Tensor:
    """Flat positions of the true `marks` (B, L): (N,) int64, `row * L + column`."""
    return torch.from_numpy(np.flatnonzero(marks.numpy()))


def count(marks: Tensor) -> Tensor:
    """Number of true `marks` (B, L) in each row: (B,) int64."""
    return torch.from_numpy(marks.numpy().sum(1))


def with_token_at(ids: Tensor, positions: Tensor, token: int) -> Tensor:
    """A copy of `ids` (B, L) with one token at the flat `positions` (N,).

    It takes positions instead of a mask: filling by a random mask is five times slower,
    since the CPU mispredicts its branches.
    """
    filled = ids.numpy().copy()
    filled.reshape(-1)[positions.numpy()] = token
    return torch.from_numpy(filled)


def _layout(ids: Ints, attended: Bools, target_mask: Bools) -> Layout:
    return Layout(
        torch.from_numpy(ids), torch.from_numpy(attended), torch.from_numpy(target_mask)
    )


def _flatten(
    examples: Sequence[Example], key: str, default: Sequence[int] | None = None
) -> tuple[Ints, Ints]:
    """All rows of one key concatenated, and their lengths (B,)."""
    if default is None:
        rows = [example[key] for example in examples]
    else:
        rows = [example.get(key, default) for example in examples]
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    if all(type(row) is list for row in rows):
        ids = array("Q")  # numpy reads lists five times slower
        for row in rows:
            ids.fromlist(row)
        return np.frombuffer(ids, np.int64), lengths
    return np.concatenate(rows, dtype=np.int64, casting="unsafe"), lengths


def _place(target: Ints, flat: Ints, start: Ints | int, lengths: Ints) -> None:
    """Write row i of `flat` into `target[i, start[i] : start[i] + lengths[i]]`."""
    target[_span(target.shape[1], start, start + lengths)] = flat


def _span(width: int, start: Ints | int, stop: Ints) -> Bools:
    """(B, width) bool, True from `start[i]` (or `start`) to `stop[i] - 1`."""
    columns = np.arange(width)
    inside: Bools = columns < stop[:, None]
    if isinstance(start, int):
        inside[:, :start] = False
    else:
        inside &= columns >= start[:, None]
    return inside


def _width(lengths: Ints, limit: int, name: str, *, fixed: bool) -> int:
    """Number of columns for rows of these lengths; refuses rows above the limit."""
    longest = int(lengths.max(initial=0))
    if longest > limit:
        row = int(lengths.argmax())
        raise UserError(
            f"{name} of row {row} of the batch is {longest} tokens long, special "
            f"tokens included, and the task's max_length is {limit}",
            "raise max_length in the task's YAML or set its overflow policy",
        )
    return limit if fixed else longest

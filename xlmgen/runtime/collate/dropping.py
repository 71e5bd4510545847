"""Rows with tokens left out: what is kept, and behind which token the rest is missing.

Shapes: B rows, L positions of the whole row, W of the kept one, D dropped tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.collate.compaction import Closing
from xlmgen.runtime.collate.layout import Example, Layout, flat_positions
from xlmgen.runtime.special_tokens import SpecialTokens

__all__ = ["Kept", "close_gaps", "refuse_packed", "with_given_end"]


class Kept(NamedTuple):
    """What is left of rows, closed up behind CLS and padded on the right."""

    ids: Tensor  # (B, W) int64
    attention_mask: Tensor | None  # (B, W) bool; None when there are no pads
    slots: Tensor  # (B, W) bool, tokens behind which the answer has a place
    slot_of_dropped: Tensor  # (D,) int64, which of the slots, all rows counted through


def close_gaps(whole: Layout, dropped: Tensor, tokens: SpecialTokens) -> Kept:
    """Leave out the tokens at `dropped` (B, L) and put CLS in front.

    There is a slot behind every kept token of the answer, and behind a given token that
    the answer, or a part of it, begins behind. A dropped token belongs to the slot of
    the nearest kept token on its left.

    Raises:
        UserError: a row has several documents; what is missing, and whether anything
            is, is one question of the whole row.
    """
    if whole.documents is not None:
        raise UserError(
            "packed documents that are apart would each need an answer to what is "
            "missing, and this family gives one for a row",
            "set packing: packed, or packing: none, in the task",
        )
    kept = whole.attended & ~dropped
    opens = whole.answer.clone()
    opens[:, :-1] |= whole.answer[:, 1:]
    closing = Closing(kept, front=1)
    ids = closing.move(whole.ids, fill=tokens.pad)
    ids[:, 0] = tokens.cls
    slots = closing.move(opens)
    # Counting slots from left to right, a dropped token's is the last one so far.
    so_far = (kept & opens).flatten().cumsum(0) - 1
    return Kept(ids, closing.attention_mask, slots, so_far[flat_positions(dropped)])


def with_given_end(layout: Layout, eos: int) -> Layout:
    """The same rows, the last token of each being an EOS that is given.

    Raises:
        UserError: a prompt fills its row, and EOS would take its last token's place.
    """
    rows, last = torch.arange(len(layout.ids)), layout.attended.sum(1) - 1
    ids, answer = layout.ids.clone(), layout.answer.clone()
    full = ~answer[rows, last] & (ids[rows, last] != eos)
    if bool(full.any()):
        row = int(full.long().argmax())
        length = int(last[row]) + 1
        raise UserError(
            f"sequence of row {row} of the batch is {length + 1} tokens long, special "
            f"tokens included, and the task's block holds {length}",
            "raise the block in the task's YAML or set its overflow policy",
        )
    ids[rows, last] = eos
    answer[rows, last] = False
    return layout._replace(ids=ids, answer=answer)


def refuse_packed(examples: Sequence[Example]) -> None:
    """For a family that gives every row one EOS.

    Raises:
        UserError: the rows are a packed stream's, with an EOS after every document.
    """
    if any(example.get("packed", False) for example in examples):
        raise UserError(
            "packed rows hold an EOS after every document, and this family's collator "
            "has one EOS, which is given, at the end of a row",
            "set packing: none in the task, or eos: false in the family's collator",
        )

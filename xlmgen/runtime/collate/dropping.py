"""Rows with dropped tokens: the kept tokens, and the slots of the dropped ones.

Shapes: B rows, L positions of full rows, W positions of kept rows, D dropped tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.collate.compaction import Compaction
from xlmgen.runtime.collate.layout import Example, Layout, flat_positions
from xlmgen.runtime.special_tokens import SpecialTokens

__all__ = ["Kept", "drop_tokens", "refuse_packed", "with_given_end"]


class Kept(NamedTuple):
    """Kept tokens of rows, compacted after CLS and padded on the right."""

    ids: Tensor  # (B, W) int64
    attention_mask: Tensor | None  # (B, W) bool; None when there are no pads
    slots: Tensor  # (B, W) bool, tokens after which an answer token can be
    slot_of_dropped: Tensor  # (D,) int64, index of the slot among those of all rows


def drop_tokens(whole: Layout, dropped: Tensor, tokens: SpecialTokens) -> Kept:
    """Drop the tokens at `dropped` (B, L) and put CLS first.

    There is a slot after every kept answer token, and after every given token that is
    followed by an answer token in the full row. A dropped token belongs to the slot of
    the nearest kept token on its left.

    Raises:
        UserError: a row has several documents, but the model predicts the number of
            missing tokens once per row.
    """
    if whole.documents is not None:
        raise UserError(
            "packed separate documents each need a prediction of their missing tokens, "
            "and this family makes one per row",
            "set packing: packed, or packing: none, in the task",
        )
    kept = whole.attended & ~dropped
    opens = whole.target_mask.clone()
    opens[:, :-1] |= whole.target_mask[:, 1:]
    closing = Compaction(kept, front=1)
    ids = closing.move(whole.ids, fill=tokens.pad)
    ids[:, 0] = tokens.cls
    slots = closing.move(opens)
    # The slot of a dropped token is the last slot on its left.
    so_far = (kept & opens).flatten().cumsum(0) - 1
    return Kept(ids, closing.attention_mask, slots, so_far[flat_positions(dropped)])


def with_given_end(layout: Layout, eos: int) -> Layout:
    """The same rows, each with a given EOS as its last token.

    Raises:
        UserError: a prompt fills its row and leaves no position for EOS.
    """
    rows, last = torch.arange(len(layout.ids)), layout.attended.sum(1) - 1
    ids, target_mask = layout.ids.clone(), layout.target_mask.clone()
    full = ~target_mask[rows, last] & (ids[rows, last] != eos)
    if bool(full.any()):
        row = int(full.long().argmax())
        length = int(last[row]) + 1
        raise UserError(
            f"sequence of row {row} of the batch is {length + 1} tokens long, special "
            f"tokens included, and the task's max_length is {length}",
            "raise max_length in the task's YAML or set its overflow policy",
        )
    ids[rows, last] = eos
    target_mask[rows, last] = False
    return layout._replace(ids=ids, target_mask=target_mask)


def refuse_packed(examples: Sequence[Example]) -> None:
    """Refuse packed rows, for a family that gives every row exactly one EOS.

    Raises:
        UserError: the rows are packed, with an EOS after every document.
    """
    if any(example.get("packed", False) for example in examples):
        raise UserError(
            "packed rows have an EOS after every document, and this family's collator "
            "has one given EOS at the end of a row",
            "set packing: none in the task, or eos: false in the family's collator",
        )

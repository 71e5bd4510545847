"""Layouts for families that generate an answer block by block.

A row is a given context, followed by the answer in blocks of equal size. All contexts
of a batch end in the same column, so every block has the same columns in all rows.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.runtime.collate.layout import (
    Example,
    Layout,
    attention_mask,
    lm_layout,
    masked_prompt_layout,
    prompt_layout,
    seq2seq_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

__all__ = [
    "BlockLayout",
    "block_prompt_layout",
    "lm_block_layout",
    "seq2seq_block_layout",
]


class BlockLayout(NamedTuple):
    """Batch of rows whose answers begin in the same column.

    Shapes: B rows, L positions.
    """

    ids: Tensor  # (B, L) int64
    attended: Tensor  # (B, L) bool, False on pads that are not part of the sequence
    target_mask: Tensor  # (B, L) bool, positions that the model generates
    context: int  # number of columns before the first block
    documents: Tensor | None = None  # (B, L) int64, number of the document; 0 on pads

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, L) bool, or None when every position is attended; else `documents`."""
        return attention_mask(self.attended, self.documents)


def lm_block_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    size: int,
) -> BlockLayout:
    """`[BOS] tokens [EOS] [PAD]…`: BOS is the context.

    The last block of a row is filled with PAD, which is part of the answer: a shorter
    block would reveal where the sequence ends. Only the last block within the task's
    maximum length may be shorter, and it is so in every row.
    """
    layout = lm_layout(
        examples, tokens, max_length, bos=True, eos=True, pad_to_max_length=False
    )
    before, answer = layout.columns(slice(1)), layout.columns(slice(1, None))
    rows = _joined(before, answer, tokens, size, max_length.answer - 1)
    if layout.documents is None:
        return rows
    filled = rows.ids.shape[1] - layout.ids.shape[1]
    # The filled positions belong to the last document.
    documents = F.pad(layout.documents, (0, filled)).cummax(1).values
    documents = documents.masked_fill(~rows.attended, 0)
    rows.target_mask[:, 1:] &= documents[:, 1:] == documents[:, :-1]
    return rows._replace(documents=documents)


def seq2seq_block_layout(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    size: int,
) -> BlockLayout:
    """`[PAD]… prompt [BOS] target [EOS] [PAD]…`: prompt and BOS are the context.

    The context is padded on the left, and the last block is filled with PAD as in
    `lm_block_layout`.
    """
    targets = [{"prompt": (), "target": example["target"]} for example in examples]
    before = prompt_layout(examples, tokens, max_length, bos=True)
    answer = seq2seq_layout(
        targets, tokens, max_length, bos=False, eos=True, pad_to_max_length=False
    )
    return _joined(before, answer, tokens, size, max_length.answer)


def block_prompt_layout(
    examples: Sequence[Example], tokens: SpecialTokens, max_length: MaxLength
) -> BlockLayout:
    """`[PAD]… prompt [BOS]`, then `max_length.answer` times MASK for the answer.

    Where no prompt length is set, the context is BOS, and a `prompt` is the beginning
    of the sequence, in the same blocks as in training.
    """
    if not max_length.prompt:
        layout = masked_prompt_layout(examples, tokens, max_length, bos=True)
        return BlockLayout(layout.ids, layout.attended, layout.target_mask, context=1)
    before = prompt_layout(examples, tokens, max_length, bos=True)
    padding = (0, max_length.answer)
    return BlockLayout(
        F.pad(before.ids, padding, value=tokens.mask),
        F.pad(before.attended, padding, value=True),
        F.pad(before.target_mask, padding, value=True),
        context=before.ids.shape[1],
    )


def _joined(
    before: Layout, answer: Layout, tokens: SpecialTokens, size: int, longest: int
) -> BlockLayout:
    """Concatenate contexts and answers; fills the last block of every answer."""
    lengths = answer.attended.sum(1)  # (B,)
    filled = (-(-lengths // size) * size).clamp(max=longest)
    width = int(filled.max())
    ids = F.pad(answer.ids, (0, width - answer.ids.shape[1]), value=tokens.pad)
    inside = torch.arange(width) < filled[:, None]
    return BlockLayout(
        torch.cat((before.ids, ids), dim=1),
        torch.cat((before.attended, inside), dim=1),
        torch.cat((torch.zeros_like(before.attended), inside), dim=1),
        context=before.ids.shape[1],
    )

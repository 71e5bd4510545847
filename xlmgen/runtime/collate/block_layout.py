"""Lay examples out for families that produce an answer block by block.

A row is a context, which is given, and behind it the answer in blocks of equal size.
All contexts of a batch end in the same column, so that every block is the same columns
in every row.
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
from xlmgen.runtime.special_tokens import Block, SpecialTokens

__all__ = [
    "BlockLayout",
    "block_prompt_layout",
    "lm_block_layout",
    "seq2seq_block_layout",
]


class BlockLayout(NamedTuple):
    """A batch of rows whose answers begin in the same column.

    Shapes: B rows, L positions.
    """

    ids: Tensor  # (B, L) int64
    attended: Tensor  # (B, L) bool, False on pads that are not part of the sequence
    answer: Tensor  # (B, L) bool, what the model is to produce; never given
    context: int  # columns before the first block
    documents: Tensor | None = None  # (B, L) int64, which document; 0 on pads

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, L) bool, or None when every position is attended; else `documents`."""
        return attention_mask(self.attended, self.documents)


def lm_block_layout(
    examples: Sequence[Example], tokens: SpecialTokens, block: Block, *, size: int
) -> BlockLayout:
    """`[BOS] tokens [EOS] [PAD]…`: BOS is the context.

    The last block of a row is filled up with PAD, which is part of the answer: were it
    shorter than the others, its size would tell where the sequence ends. Only at the
    end of the room that the task gives is there a shorter block, and in every row.
    """
    whole = lm_layout(examples, tokens, block, bos=True, eos=True, pad_to_block=False)
    before, answer = whole.columns(slice(1)), whole.columns(slice(1, None))
    rows = _joined(before, answer, tokens, size, block.answer - 1)
    if whole.documents is None:
        return rows
    filled = rows.ids.shape[1] - whole.ids.shape[1]
    documents = (
        F.pad(whole.documents, (0, filled)).cummax(1).values
    )  # PAD is the last's
    documents = documents.masked_fill(~rows.attended, 0)
    rows.answer[:, 1:] &= documents[:, 1:] == documents[:, :-1]
    return rows._replace(documents=documents)


def seq2seq_block_layout(
    examples: Sequence[Example], tokens: SpecialTokens, block: Block, *, size: int
) -> BlockLayout:
    """`[PAD]… prompt [BOS] target [EOS] [PAD]…`: prompt and BOS are the context.

    The context is padded on the left, and the last block filled up with PAD as in
    `lm_block_layout`.
    """
    targets = [{"prompt": (), "target": example["target"]} for example in examples]
    before = prompt_layout(examples, tokens, block, bos=True)
    answer = seq2seq_layout(
        targets, tokens, block, bos=False, eos=True, pad_to_block=False
    )
    return _joined(before, answer, tokens, size, block.answer)


def block_prompt_layout(
    examples: Sequence[Example], tokens: SpecialTokens, block: Block
) -> BlockLayout:
    """`[PAD]… prompt [BOS]`, then the answer to be found: `block.answer` times MASK.

    Where the block has no prompt, the context is BOS, and a `prompt` is the beginning
    of the sequence: it stands in the blocks that it would stand in in training.
    """
    if not block.prompt:
        whole = masked_prompt_layout(examples, tokens, block, bos=True)
        return BlockLayout(whole.ids, whole.attended, whole.answer, context=1)
    before = prompt_layout(examples, tokens, block, bos=True)
    room = (0, block.answer)
    return BlockLayout(
        F.pad(before.ids, room, value=tokens.mask),
        F.pad(before.attended, room, value=True),
        F.pad(before.answer, room, value=True),
        context=before.ids.shape[1],
    )


def _joined(
    before: Layout, answer: Layout, tokens: SpecialTokens, size: int, room: int
) -> BlockLayout:
    """Contexts and answers side by side, every answer's last block filled up."""
    lengths = answer.attended.sum(1)  # (B,)
    filled = (-(-lengths // size) * size).clamp(max=room)
    width = int(filled.max())
    ids = F.pad(answer.ids, (0, width - answer.ids.shape[1]), value=tokens.pad)
    inside = torch.arange(width) < filled[:, None]
    return BlockLayout(
        torch.cat((before.ids, ids), dim=1),
        torch.cat((before.attended, inside), dim=1),
        torch.cat((torch.zeros_like(before.attended), inside), dim=1),
        context=before.ids.shape[1],
    )

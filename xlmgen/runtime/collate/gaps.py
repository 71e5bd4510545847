"""Rows with missing tokens: their gaps, and the number of tokens missing in each.

A gap is identified by the token before it. Rows begin with a given token, so every gap
has one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from xlmgen.errors import UserError
from xlmgen.runtime.collate.compaction import Compaction
from xlmgen.runtime.collate.layout import (
    Bools,
    Example,
    Ints,
    Layout,
    attention_mask,
    count,
    infill_layout,
    lm_layout,
    seq2seq_layout,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

__all__ = [
    "CompactedRows",
    "GapLayout",
    "compact_rows",
    "infill_gaps",
    "lm_gaps",
    "prompt_gaps",
    "refuse_longer_gaps",
    "room",
    "seq2seq_gaps",
]


class GapLayout(NamedTuple):
    """Batch of clean rows, and the gaps where tokens may be missing.

    Shapes: B rows, L positions.
    """

    ids: Tensor  # (B, L) int64
    attended: Tensor  # (B, L) bool, False on pads
    target_mask: (
        Tensor  # (B, L) bool, tokens that may be missing; not prompt, BOS or EOS
    )
    free: Tensor  # (B, L) bool, tokens after which others may be missing
    documents: Tensor | None = None  # (B, L) int64, number of the document; 0 on pads


class CompactedRows(NamedTuple):
    """Batch of rows after compaction.

    Shapes: B rows, L positions; tokens are at the start of each row.
    """

    ids: Tensor  # (B, L) int64
    free: Tensor  # (B, L) bool, tokens after which others may be missing
    gaps: Tensor  # (B, L) int64, number of tokens missing after each
    closing: Compaction  # moves other values of the tokens
    documents: Tensor | None = None  # (B, L) int64, number of the document; 0 on pads

    @property
    def attended(self) -> Tensor:
        """(B, L) bool, False on pads."""
        return self.closing.attended

    @property
    def attention_mask(self) -> Tensor | None:
        """(B, L) bool, or None when every position is attended; else `documents`."""
        return attention_mask(self.attended, self.documents)


def lm_gaps(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    eos: bool,
) -> GapLayout:
    """`[BOS] tokens [EOS]`: any token but BOS and EOS may be missing.

    Packed rows have no EOS of their own; those of the stream are ordinary tokens.
    """
    clean = lm_layout(
        examples, tokens, max_length, bos=True, eos=eos, pad_to_max_length=False
    )
    ended = eos and not _packed(examples)
    if ended or clean.documents is not None:
        return _opened(clean, ended=ended)
    # Another token may be missing after each attended one.
    return GapLayout(clean.ids, clean.attended, clean.target_mask, free=clean.attended)


def seq2seq_gaps(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    eos: bool,
) -> GapLayout:
    """`prompt [BOS] target [EOS]`: any token of the target may be missing."""
    clean = seq2seq_layout(
        examples, tokens, max_length, bos=True, eos=eos, pad_to_max_length=False
    )
    return _opened(clean, ended=eos)


def infill_gaps(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    eos: bool,
) -> GapLayout:
    """`[BOS] tokens [EOS]`: only tokens of the holes may be missing."""
    clean = infill_layout(
        examples, tokens, max_length, bos=True, eos=eos, pad_to_max_length=False
    )
    free = torch.from_numpy(_with_before(clean.target_mask.numpy()))
    return GapLayout(clean.ids, clean.attended, clean.target_mask, free)


def prompt_gaps(
    examples: Sequence[Example],
    tokens: SpecialTokens,
    max_length: MaxLength,
    *,
    eos: bool,
) -> GapLayout:
    """`prompt [BOS] [EOS]`: the answer between BOS and EOS is missing.

    Where no prompt length is set, a row is a sequence that begins with `[BOS] prompt`,
    and the rest is missing. Packed rows have no EOS.
    """
    prompts = [example.get("prompt", ()) for example in examples]
    packed = _packed(examples)
    if max_length.prompt:
        rows = [{"prompt": prompt, "target": ()} for prompt in prompts]
        known = seq2seq_gaps(rows, tokens, max_length, eos=eos)
    else:
        rows = [{"tokens": prompt} for prompt in prompts]
        known = lm_gaps(rows, tokens, max_length, eos=eos and not packed)
    no_targets = torch.zeros_like(known.target_mask)
    last = torch.from_numpy(_last(known.attended, ended=eos and not packed))
    free = no_targets.scatter(1, last[:, None], True)
    return known._replace(target_mask=no_targets, free=free)


def compact_rows(clean: GapLayout, missing: Tensor, pad: int) -> CompactedRows:
    """Remove the missing tokens (B, L) and count them in their gaps."""
    closing = Compaction(clean.attended & ~missing)
    rows, width = missing.shape
    # Flat position of the next kept token, or of the end of the row.
    follows = np.empty_like(closing.stood_at)
    follows[:-1] = closing.stood_at[1:]
    ends = np.arange(0, rows * width, width) + clean.attended.numpy().sum(1)
    follows[closing.lengths.cumsum() - 1] = ends
    documents, all_free = clean.documents, clean.free is clean.attended
    return CompactedRows(
        ids=closing.move(clean.ids, fill=pad),
        free=closing.attended.clone() if all_free else closing.move(clean.free),
        gaps=closing.place(follows - closing.stood_at - 1),
        closing=closing,
        documents=None if documents is None else closing.move(documents),
    )


def room(rows: CompactedRows, max_length: MaxLength, *, eos: bool) -> Tensor:
    """(B,) int64, number of tokens that may be inserted into each row."""
    length = count(rows.attended)
    if max_length.prompt:
        return torch.full_like(length, max_length.answer - int(eos))
    return max_length.answer - length


def refuse_longer_gaps(clean: GapLayout, longest: int) -> None:
    """Refuse gaps that may be longer than the model can predict.

    Raises:
        UserError: names the first row with the longest gap.
    """
    gaps = _count(clean.attended & ~clean.target_mask, clean.target_mask).amax(1)
    if bool((gaps > longest).any()):
        row = int(gaps.argmax())
        raise UserError(
            f"answer of row {row} of the batch is {int(gaps[row])} tokens long, and "
            f"the model predicts gaps of up to {longest}",
            "raise model.max_gap in the family's YAML or shorten the task's answers",
        )


def _count(kept: Tensor, missing: Tensor) -> Tensor:
    """(B, L) int64, number missing after each kept token, in order of kept tokens."""
    before = kept.cumsum(1) - 1  # index of the kept token before each position
    return torch.zeros_like(before).scatter_add(1, before, missing.long())


def _opened(clean: Layout, *, ended: bool) -> GapLayout:
    """Gaps of an answer between the token before it and, if `ended`, a given EOS."""
    row, last = np.arange(len(clean.ids)), _last(clean.attended, ended=ended)
    target_mask = clean.target_mask.numpy()
    if ended:
        target_mask = target_mask.copy()
        target_mask[row, last + 1] = False
    free = _with_before(target_mask)
    free[row, last] = True
    return GapLayout(
        clean.ids,
        clean.attended,
        torch.from_numpy(target_mask),
        torch.from_numpy(free),
        clean.documents,
    )


def _last(attended: Tensor, *, ended: bool) -> Ints:
    """(B,) column of the last token of each row before its EOS, if it has one."""
    last: Ints = attended.numpy().sum(1) - 1 - int(ended)
    return last


def _with_before(target_mask: Bools) -> Bools:
    """(B, L) bool, the targets and the positions directly before them."""
    free = target_mask.copy()
    free[:, :-1] |= target_mask[:, 1:]
    return free


def _packed(examples: Sequence[Example]) -> bool:
    return bool(examples) and bool(examples[0].get("packed", False))

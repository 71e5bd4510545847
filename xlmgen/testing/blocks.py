"""Toy distributions, batches and oracles for families that decode block by block."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.testing.oracle import Oracle, widened
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.toy import ANSWER, Toy, make_toy

SIZES = (1, 2, 3)
"""Block sizes of the toy: one token, a shorter last block, a single block."""


class BlockSubject(FamilyTests):
    """A family that divides its answers, of any length, into blocks."""

    @property
    def suppress_tokens(self) -> tuple[int, ...]:
        return (self.tokens.bos, self.tokens.mask, self.tokens.cls)

    def toy(self, *, prompted: bool = True) -> Toy:
        return self.block_toy(self.spec.collator.options["block_size"], prompted)

    def block_toy(self, size: int, prompted: bool = True) -> Toy:
        """Make a toy whose last block of `size` tokens is filled with PAD."""
        prompts = [(5,), (6,), (7, self.tokens.eos)] if prompted else [()]
        toy = make_toy(
            self.tokens,
            prompts=prompts,
            lengths=range(ANSWER),
            bos=True,
            eos=True,
            pads=False,
        )
        number = toy.answer.sum(1)
        filled = (-(-number // size) * size).clamp(max=ANSWER)
        start = toy.lengths - number
        places = torch.arange(toy.rows.shape[1])
        inside = (places >= start[:, None]) & (places < (start + filled)[:, None])
        return replace(toy, lengths=start + filled, answer=inside)


def entropy(toy: Toy) -> float:
    """Compute −Σ p log p(answer | prompt), for content and length."""
    return -float((toy.probs * answer_log_probs(toy)).sum())


def answer_log_probs(toy: Toy) -> Tensor:
    """Compute log p(answer | prompt) of every row, (S,)."""
    given = torch.stack([toy.given(prompt) for prompt in toy.prompts])  # (S, S)
    return given.diagonal().log()


def laid_out(toy: Toy, rows: Tensor, pad: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """Lay out rows of the toy, with contexts padded on the left to one width.

    Returns:
        clean ids (N, L), attended (N, L), answer (N, L), number of context columns.
    """
    start = toy.answer.long().argmax(1)
    context = int(start.max())
    shift = (context - start)[rows, None]
    places = torch.arange(context + ANSWER) - shift
    inside = (places >= 0) & (places < toy.lengths[rows, None])
    places = places.clamp(0, toy.rows.shape[1] - 1)
    ids = toy.rows[rows].gather(1, places).masked_fill(~inside, pad)
    answer = inside & (torch.arange(context + ANSWER) >= context)
    return ids, inside, answer, context


@dataclass
class BlockCache:
    """Cache of the oracle: finished tokens, and tokens of the last call."""

    ids: Tensor
    written: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def length(self) -> int:
        return self.ids.shape[1]

    def advance(self, length: int) -> None:
        assert self.written.shape[1] == length
        self.ids = torch.cat((self.ids, self.written), dim=1)

    def keep(self, rows: Tensor) -> None:
        self.ids = self.ids[rows]


class BlockOracle(Oracle):
    """p(x_i | the visible tokens of its block and all earlier tokens).

    All tokens after the end of a row are PAD.
    """

    def __init__(
        self,
        toy: Toy,
        vocab_size: int,
        mask: int,
        pad: int,
        distractors: tuple[int, ...] = (),
    ) -> None:
        super().__init__(toy, vocab_size, distractors)
        self.mask, self.pad = mask, pad

    def new_cache(self, batch_size: int, max_length: int) -> BlockCache:
        return BlockCache(torch.empty(batch_size, 0, dtype=torch.int64))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        t: Tensor | None = None,
        clean_ids: Tensor | None = None,
        block_size: int | None = None,
        cache: BlockCache | None = None,
    ) -> Tensor:
        self.record(input_ids, t)
        length = input_ids.shape[1]
        if clean_ids is None or block_size is None:
            before = input_ids[:, :0] if cache is None else cache.ids
            if cache is not None:
                cache.written = input_ids
            return self.logits(self.block(before, input_ids, attention_mask), positions)
        context, parts = clean_ids.shape[1] - length, []
        for start in range(0, length, block_size):
            before = clean_ids[:, : context + start]
            block = input_ids[:, start : start + block_size]
            parts.append(self.block(before, block, attention_mask))
        return self.logits(torch.cat(parts, dim=1), positions)

    def block(self, before: Tensor, block: Tensor, attended: Tensor | None) -> Tensor:
        """Compute unnormalised probabilities (B, n, V) of a block after a prefix.

        Args:
            before: (B, P) tokens before the block.
            block: (B, n) tokens of the block."""
        ids = torch.cat((before, block), dim=1)
        width = ids.shape[1]
        if attended is None:
            attended = torch.ones_like(ids, dtype=torch.bool)
        attended = attended[:, :width]
        # 1. Move the tokens of every row to the left end.
        aligned = ids.gather(1, (~attended).long().argsort(dim=1, stable=True))
        number = attended.sum(1)

        # 2. Rows of the toy that are long enough and agree with the visible tokens.
        rows = widened(self.toy.rows, width)
        free = (aligned == self.mask) | (torch.arange(width) >= number[:, None])
        fits = (free[:, None] | (aligned[:, None] == rows)).all(-1)
        fits &= self.toy.lengths >= number[:, None]
        tokens = F.one_hot(rows.clamp(min=0), self.vocab_size).double()
        probs = torch.einsum("bs,slv->blv", fits * self.toy.probs, tokens)
        probs[~fits.any(1), :, self.pad] = 1

        # 3. Move the result back to the positions of the block.
        place = (attended.cumsum(1) - 1).clamp(min=0)[:, -block.shape[1] :]
        return probs.gather(1, place[..., None].expand(-1, -1, self.vocab_size))

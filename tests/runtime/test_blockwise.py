"""Block-by-block generation: inputs of the model, ended rows, results."""

import pytest
import torch
from torch import nn

from xlmgen.errors import UserError
from xlmgen.runtime.decoding.blockwise import BlockwiseState
from xlmgen.runtime.special_tokens import SpecialTokens

T = SpecialTokens(vocab_size=8)
M, P, B, E = T.mask, T.pad, T.bos, T.eos
IDS = torch.tensor([[5, B, M, M, M, M], [P, B, 7, M, M, M], [P, B, M, M, M, M]])
BATCH = {
    "input_ids": IDS,
    "attention_mask": IDS != P,
    "fillable": IDS == M,
    "context": 2,
    "block_size": 2,
}


class Cache:
    def __init__(self, rows, length):
        self.length, self.rows, self.room = 0, torch.arange(rows), length

    def advance(self, length):
        self.length += length

    def keep(self, rows):
        self.rows = self.rows[rows]


class Recorder(nn.Module):
    """Model that records calls: ids, mask, cached columns and rows, time."""

    def __init__(self):
        super().__init__()
        self.calls, self.head = [], nn.Identity()

    def new_cache(self, rows, length):
        self.cache = Cache(rows, length)
        return self.cache

    def forward(self, ids, attention_mask=None, *, positions, cache, t=None):
        seen = cache.length, cache.rows.tolist()
        self.calls.append((ids.tolist(), attention_mask, *seen, t, len(positions)))
        return torch.zeros(len(positions), T.vocab_size)


def fill(rows, *tokens):
    """Fill every block with the given tokens, in one pass each."""
    for state, token in zip(rows.blocks(), tokens, strict=True):
        where = state.masked
        state.logits(where, torch.full((len(where),), 0.5))
        state.reveal(where, torch.full((int(where.sum()),), token), 0)


def test_every_block_reads_the_cache_and_is_then_cached():
    model = Recorder()
    rows = BlockwiseState(model, BATCH, T, timed=True)
    fill(rows, 5, 6)
    context, first, kept, second = model.calls
    assert context[0] == IDS[:, :2].tolist()
    assert first[0] == IDS[:, 2:4].tolist()
    assert kept[0] == [[5, 5], [7, 5], [5, 5]]
    assert second[0] == [[M, M]] * 3
    assert [call[2] for call in model.calls] == [0, 2, 2, 4]
    assert [call[1].shape[1] for call in model.calls] == [2, 4, 4, 6]
    assert [float(call[4][0]) for call in model.calls] == [0, 0.5, 0, 0.5]
    assert [call[5] for call in model.calls] == [0, 5, 0, 6]
    out = rows.generation()
    assert out.forward_passes == 4
    assert out.generated.equal(BATCH["fillable"])
    assert out.ids[0].tolist() == [5, B, 5, 5, 6, 6]


def test_ended_rows_leave_batch_and_cache_and_are_padded():
    model = Recorder()
    rows = BlockwiseState(model, BATCH, T, trace=True)
    blocks = rows.blocks()
    state = next(blocks)
    state.reveal(state.masked, torch.tensor([5, 6, 6, E, 5]), 0)
    state = next(blocks)
    assert model.cache.rows.tolist() == [0, 1]
    assert state.attention_mask.equal((IDS != P)[:2])
    state.reveal(state.masked, torch.tensor([5, 6, 7, 5]), 0)
    assert next(blocks, None) is None
    out = rows.generation()
    assert out.ids[:, 2:].tolist() == [[5, 6, 5, 6], [7, 6, 7, 5], [E, 5, P, P]]
    assert out.generated[2].tolist() == [False, False, True, True, False, False]
    assert out.trace.step.tolist() == [0] * 5 + [1] * 4
    assert out.trace.row.tolist() == [0, 0, 1, 2, 2, 0, 0, 1, 1]
    assert out.trace.position.tolist() == [2, 3, 3, 2, 3, 4, 5, 4, 5]


@pytest.mark.parametrize("max_length", [0, 1, 2])
def test_max_length_below_given_tokens_is_refused(max_length):
    """The second row has 7 at its first position, the third 6 at its third."""
    ids = torch.tensor([[5, B, M, M, M, M], [P, B, 7, M, M, M], [P, B, 5, 5, 6, M]])
    batch = BATCH | {"input_ids": ids, "fillable": ids == M}
    with pytest.raises(UserError, match=f"max_length {max_length} would cut off"):
        BlockwiseState(Recorder(), batch, T, max_length=max_length)
    for allowed in (3, 4, 9):
        rows = BlockwiseState(Recorder(), batch, T, max_length=allowed)
        assert rows.ids[2, 2:5].tolist() == [5, 5, 6]


def test_max_length_shortens_or_extends_rows():
    for length, width in ((3, 5), (7, 9)):
        model = Recorder()
        rows = BlockwiseState(model, BATCH, T, max_length=length)
        fill(rows, *[5] * -(-length // 2))
        out = rows.generation()
        assert out.ids.shape == (3, width)
        assert model.cache.room == width
        assert (out.ids[0, 2:] == 5).all()
        assert out.generated[1].sum() == length - 1
